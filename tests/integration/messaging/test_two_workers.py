"""Two workers want the same message at the same moment: one gets it, and the other one takes something else."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
from pymongo.collection import Collection

from casebridge.clock import Clock, ServerClock
from casebridge.database import Database, Document
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.settings import MongoDBSettings
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.world import World

LEASE = timedelta(seconds=60)
MESSAGES = 60
WORKERS = 6


@pytest.fixture
def clock(database: Database) -> Clock:
    return ServerClock(database.server_time)


@pytest.fixture
def new_queue(database: Database, clock: Clock) -> Callable[[], MeldingQ]:
    return lambda: MeldingQ(database, clock, LEASE)


@pytest.fixture
def overtaken_queue(
    mongodb_settings: MongoDBSettings, database: Database, clock: Clock
) -> Iterator[Callable[[Callable[[], object]], MeldingQ]]:
    """A queue whose claim comes too late: something happens between its read and its write."""
    own = Database(mongodb_settings)

    def queue(happening: Callable[[], object]) -> MeldingQ:
        own.messages = cast("Collection[Document]", Overtaken(database.messages, happening))
        return MeldingQ(own, clock, LEASE)

    yield queue
    own.close()


class Overtaken:
    """A collection whose next `update_many` comes too late: `first` is done before."""

    def __init__(self, collection: Any, first: Callable[[], object]) -> None:
        self._collection = collection
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def update_many(self, *arguments: Any, **options: Any) -> Any:
        self._first()
        return self._collection.update_many(*arguments, **options)


def new_message(number: int, case: str) -> NewMessage:
    return NewMessage(
        f"message{number}", "a queue", "uis.no", "test", case, f"correlation-{case}", {}, exam_system="WISEFLOW"
    )


def test_a_message_that_another_claims_between_read_and_claim_stays_with_it(
    database: Database,
    new_queue: Callable[[], MeldingQ],
    overtaken_queue: Callable[[Callable[[], object]], MeldingQ],
) -> None:
    fast = new_queue()
    fast.accept([new_message(number, f"case{number}") for number in range(3)])
    taken: list[Message] = []
    slow = overtaken_queue(lambda: taken.extend(fast.claim("fast", 2)))

    left = slow.claim("slow", 3)

    assert len(taken) == 2
    assert len(left) == 1
    assert {message.key for message in taken}.isdisjoint(message.key for message in left)
    assert {(document["fence"], document["attempts"]) for document in database.messages.find()} == {(1, 1)}


def test_two_messages_of_a_case_are_never_in_work_together(
    database: Database,
    clock: Clock,
    new_queue: Callable[[], MeldingQ],
    overtaken_queue: Callable[[Callable[[], object]], MeldingQ],
) -> None:
    """The other worker read the case before its first message came. The index refuses what the read did not see."""
    fast = new_queue()
    fast.accept([new_message(2, "case")])
    earlier = new_message(1, "case").document(clock.now() - LEASE)
    taken: list[Message] = []

    def the_first_comes_and_is_claimed() -> None:
        database.messages.insert_one(earlier)
        taken.extend(fast.claim("fast", 1))

    assert overtaken_queue(the_first_comes_and_is_claimed).claim("slow", 1) == []
    assert [message.key for message in taken] == ["message1"]


def test_many_workers_share_the_queue(database: Database, new_queue: Callable[[], MeldingQ]) -> None:
    new_queue().accept([new_message(number, f"case{number}") for number in range(MESSAGES)])

    def claim_until_nothing_is_left(name: str) -> list[str]:
        queue, keys = new_queue(), list[str]()
        while claimed := queue.claim(name, 5):
            keys += [message.key for message in claimed]
        return keys

    with ThreadPoolExecutor(WORKERS) as pool:
        shares = list(pool.map(claim_until_nothing_is_left, [f"worker{number}" for number in range(WORKERS)]))

    claimed = [key for share in shares for key in share]
    rest = new_queue().claim("last", MESSAGES)
    assert sorted([*claimed, *(message.key for message in rest)]) == sorted(f"message{n}" for n in range(MESSAGES))
    assert {(document["fence"], document["attempts"]) for document in database.messages.find()} == {(1, 1)}


def test_two_processes_on_one_database_do_nothing_twice(world: World) -> None:
    """Two processes read, handle and poll for answers at the same time, like a listener and a Dagster run."""
    world.populate(institutions=3, courses=6, requests=30)
    processes = [world.process(), world.process()]
    for _ in range(3):
        with ThreadPoolExecutor(len(processes)) as pool:
            list(pool.map(world.synchronise, processes))

    check_everything(world, 30)
    summary = world.control.summary()
    assert (summary["dispatched"], summary["repeated_posts"]) == (30, 0)
    assert not world.audit(success=False)


def test_a_step_that_takes_longer_than_a_lease_keeps_it(world: World) -> None:
    """The heartbeat runs during the work. The other worker claims all the time and finds nothing to take over."""
    world.configure(queue={"lease_seconds": 3.0})
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    slow = {"system": "wiseflow", "method": "POST", "path": "/explanation/request$", "kind": "latency", "seconds": 4.5}
    world.control.faults(slow)
    worker, other = world.process(), world.process()
    read_requests(worker, worker.stores.institutions.active())

    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(worker.synchronisation.run_batch)
        world.control.wait("calls", 1, system="wiseflow")
        while not batch.done():
            assert other.synchronisation.run_batch().handled == 0

    assert batch.result().by_status == {"processed": 2}
    assert {message["fence"] for message in world.database.processed_messages.find()} == {1}
