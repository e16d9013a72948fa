"""A batch handles every queue that a capability declares. The backlog sensor counts these queues only."""

from collections.abc import Callable

from casebridge.messaging.queue.message import NewMessage
from tests.integration.conftest import Operator
from tests.support.world import World

NOBODY = "127.0.0.1:9"
"""Settings with Kafka on and its broker away. Nothing here asks the broker."""
QUEUES = {"fs-begrunnelse", "wiseflow-begrunnelse", "wiseflow-begrunnelse-svar", "wiseflow-webhook", "kafka-record"}


def message(world: World, queue: str) -> NewMessage:
    environment = world.database.environments.find_one({})
    assert environment is not None
    return NewMessage(queue, queue, environment["orgId"], "test", queue, queue, {}, exam_system="WISEFLOW")


def test_a_batch_handles_every_declared_queue(world: World, operator: Callable[..., Operator]) -> None:
    world.configure(kafka={"bootstrap_servers": NOBODY})
    ui = operator(institutions=1, courses=1, requests=0)
    process = world.process()
    assert set(process.queues) == QUEUES
    process.stores.queue.accept([message(world, queue) for queue in QUEUES])

    assert ui.run("process_queue").success

    statuses = {one["queue"]: one["status"] for one in world.database.messages.find()}
    assert statuses == dict.fromkeys(QUEUES, "dead"), "each was handled, and has nothing that could be read"


def test_messages_that_no_run_would_handle_start_no_run(world: World, operator: Callable[..., Operator]) -> None:
    ui = operator(institutions=1, courses=1, requests=0)
    world.process().stores.queue.accept([message(world, "nobodys-queue")])

    assert not ui.tick("backlog_sensor").run_requests
