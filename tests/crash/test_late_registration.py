"""A late registration never replaces a newer answer in FS."""

import signal
from datetime import timedelta

from casebridge.clock import ServerClock
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.explanation_rounds import poll_answers
from tests.support.processes import Crash, Processes
from tests.support.shifted_clock import ShiftedClock
from tests.support.waiting import wait_until
from tests.support.world import World

REGISTRATION = {"system": "fs", "method": "POST", "path": "/begrunnelser/"}
REGISTRATIONS = "fs POST /begrunnelser/{examSystem}"


def change_the_answer(world: World) -> None:
    (case,) = world.control.cases()
    world.control.change_answer(case["explanationRequestId"])


def poll(process: Process) -> None:
    poll_answers(process, process.stores.institutions.active(), also_answered=True)


def assert_fs_has_the_newest_answer(world: World) -> None:
    summary = world.control.summary()
    assert (summary["registered"], summary["stale_text"], summary["registered_twice"]) == (1, 0, 0)


def test_a_dead_message_that_is_replayed_after_a_newer_answer_was_registered(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    clock = ShiftedClock(ServerClock(world.database.server_time))
    process = world.process(clock)
    world.send(process)
    world.control.wait("answered", 1)
    world.control.faults({**REGISTRATION, "kind": "status", "status": 503})
    poll(process)
    for _ in range(world.settings.queue.maximum_attempts):
        process.synchronisation.run_batch()
        clock.pass_time(timedelta(seconds=world.settings.queue.retry_cap_seconds * 2))
    assert world.database.messages.count_documents({"status": MessageStatus.DEAD.value}) == 1
    world.control.clear_faults()

    change_the_answer(world)
    poll(process)
    process.synchronisation.run_batch()
    order = Order(limit=1, dry_run=False, reason="FS is back", asked_by="a test")
    assert process.operators.dead_letters.replay(DeadLetterFilter(), order).changed == 1
    process.synchronisation.run_batch()

    assert_fs_has_the_newest_answer(world)


def test_a_frozen_listener_whose_registration_arrives_after_a_newer_answer(world: World, processes: Processes) -> None:
    """Its call to FS was under way when it froze, for longer than its lease. FS handles the call much later."""
    world.configure(queue={"lease_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.send(process)
    world.control.wait("answered", 1)
    world.control.faults({**REGISTRATION, "kind": "latency", "seconds": 6.0, "times": 1})
    poll(process)
    frozen = processes.listener()
    wait_until(lambda: world.control.summary()["calls_by_route"].get(REGISTRATIONS), "its call has reached FS")
    frozen.process.send_signal(signal.SIGSTOP)

    wait_until(lambda: process.synchronisation.run_batch().handled, "the lease has run out")
    change_the_answer(world)
    poll(process)
    process.synchronisation.run_batch()
    assert_fs_has_the_newest_answer(world)
    frozen.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "another worker has taken over" in frozen.log.read_text(), "the frozen one has tried to write")
    frozen.stop()

    wait_until(lambda: world.synchronise(process, also_answered=True) == 0, "nothing is left to do")
    assert world.control.summary()["stale_text"] == 0, "the newest was registered anew"


def test_a_registration_that_arrived_in_time_is_not_audited_again(world: World, processes: Processes) -> None:
    """FS handled the frozen listener's call at once, before the newer answer. Only the listener gets its answer late.

    The repair finds the newest answer in FS already. FS counts no change, so the audit must have none either.
    """
    world.configure(queue={"lease_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.send(process)
    world.control.wait("answered", 1)
    world.control.faults({**REGISTRATION, "kind": "slow_body", "seconds": 6.0, "times": 1})
    poll(process)
    frozen = processes.listener()
    wait_until(lambda: world.control.summary()["registrations"], "FS has taken its call")
    frozen.process.send_signal(signal.SIGSTOP)

    wait_until(lambda: process.synchronisation.run_batch().handled, "the lease has run out")
    change_the_answer(world)
    poll(process)
    process.synchronisation.run_batch()
    assert_fs_has_the_newest_answer(world)
    frozen.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "another worker has taken over" in frozen.log.read_text(), "the frozen one has tried to write")
    frozen.stop()
    wait_until(lambda: world.synchronise(process, also_answered=True) == 0, "nothing is left to do")

    assert_fs_has_the_newest_answer(world)
    recorded = [entry["detail"]["outcome"] for entry in world.audit(step="register_explanation", success=True)]
    assert recorded.count("registered") == world.control.summary()["registrations"] == 2


def test_the_audit_has_an_answer_that_was_changed_after_its_listener_died(world: World, processes: Processes) -> None:
    """FS had both answers, so the audit must have both."""
    world.configure(queue={"lease_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.send(process)
    world.control.wait("answered", 1)
    poll(process)
    processes.crashed_listener(Crash("effect_made", after=1))
    change_the_answer(world)

    wait_until(lambda: process.synchronisation.run_batch().handled, "the lease has run out")
    wait_until(lambda: world.synchronise(process, also_answered=True) == 0, "nothing is left to do")

    recorded = world.audit(step="register_explanation", success=True)
    assert len(recorded) == world.control.summary()["registrations"] == 2
