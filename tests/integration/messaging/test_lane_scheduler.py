"""Which lane is next: no institution waits for ever, a lost notification costs little, and other processes get notifications."""

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.messaging.listener.lane_scheduler import SEARCH_SECONDS, LaneScheduler
from casebridge.messaging.listener.lane_watcher import LaneWatcher
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import NewMessage
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.waiting import wait_until
from tests.support.world import World

QUEUE = "wiseflow-begrunnelse"


class ManualMonotonic:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def queue(database: Database) -> MeldingQ:
    return MeldingQ(database, ServerClock(database.server_time), timedelta(seconds=60))


def messages(institution: str, count: int, queue: str = QUEUE) -> list[NewMessage]:
    keys = [f"{institution}-{queue}-{number}" for number in range(count)]
    return [
        NewMessage(key, queue, institution, "test", f"case-{key}", f"correlation-{key}", {}, exam_system="WISEFLOW")
        for key in keys
    ]


def turns_of(database: Database, queue: MeldingQ, monotonic: ManualMonotonic, *queues: str) -> LaneScheduler:
    return LaneScheduler(queue, ServerClock(database.server_time), queues, monotonic=monotonic)


def test_many_messages_of_one_institution_do_not_delay_the_others(database: Database, queue: MeldingQ) -> None:
    queue.accept(messages("crowd.no", 400))
    queue.accept(messages("small.no", 3))

    first = turns_of(database, queue, ManualMonotonic()).take("one", 32, ())

    counts = {org: sum(message.org_id == org for message in first) for org in ("crowd.no", "small.no")}
    assert counts == {"crowd.no": 16, "small.no": 3}


def test_many_requests_do_not_delay_answers(database: Database, queue: MeldingQ) -> None:
    queue.accept(messages("crowd.no", 400))
    queue.accept(messages("crowd.no", 2, "wiseflow-begrunnelse-svar"))

    first = turns_of(database, queue, ManualMonotonic()).take("one", 32, ())

    assert sum(message.queue == "wiseflow-begrunnelse-svar" for message in first) == 2


def test_everything_is_taken_once_oldest_first_in_each_lane(database: Database, queue: MeldingQ) -> None:
    for institution in ("a.no", "b.no", "c.no"):
        queue.accept(messages(institution, 50))
    scheduler, taken = turns_of(database, queue, ManualMonotonic()), []
    while some := scheduler.take("one", 20, ()):
        taken += [message.key for message in some]

    assert sorted(taken) == sorted(f"{org}-{QUEUE}-{n}" for org in ("a.no", "b.no", "c.no") for n in range(50))


def test_paused_institutions_are_passed_over_and_come_back(database: Database, queue: MeldingQ) -> None:
    queue.accept(messages("paused.no", 5) + messages("free.no", 5))
    scheduler = turns_of(database, queue, ManualMonotonic())

    assert {message.org_id for message in scheduler.take("one", 10, {"paused.no/test"})} == {"free.no"}
    assert {message.org_id for message in scheduler.take("one", 10, ())} == {"paused.no"}


def test_a_claim_takes_messages_of_its_queues_only(database: Database, queue: MeldingQ) -> None:
    queue.accept(messages("a.no", 2) + messages("a.no", 2, "another queue"))
    scheduler = turns_of(database, queue, ManualMonotonic(), "another queue")

    assert [message.queue for message in scheduler.take("one", 10, ())] == ["another queue"] * 2
    assert scheduler.take("one", 10, ()) == []


def test_a_lane_that_nobody_notified_is_found(database: Database, queue: MeldingQ) -> None:
    """The notification was lost, or the message comes from a version that sends none. That costs half a minute and no message."""
    monotonic = ManualMonotonic()
    scheduler = turns_of(database, queue, monotonic)
    assert scheduler.take("one", 10, ()) == []
    (unrung,) = messages("quiet.no", 1)
    database.messages.insert_one(unrung.document(ServerClock(database.server_time).now()))

    assert scheduler.take("one", 10, ()) == []
    assert scheduler.seconds_to_wait(()) <= SEARCH_SECONDS
    monotonic.seconds += SEARCH_SECONDS
    assert [message.key for message in scheduler.take("one", 10, ())] == [unrung.key]


def test_lanes_without_an_exam_system_have_nothing_searched_for_at_each_scan(
    database: Database, queue: MeldingQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for a dead message without an institution, which stays for months, and not for more live ones than one claim takes."""
    now = ServerClock(database.server_time).now()
    documents = [each.document(now) for each in messages("a.no", 40)]
    for document in documents:
        del document["examSystem"]
    dead = {"_id": "nobody's", "status": "dead", "queue": QUEUE, "orgId": "unknown", "env": "unknown"}
    database.messages.insert_many([*documents, dead])
    searched = []
    search = queue.lanes.search
    monkeypatch.setattr(queue.lanes, "search", lambda: searched.append(1) or search())
    monotonic = ManualMonotonic()
    scheduler = turns_of(database, queue, monotonic)

    taken = [len(scheduler.take("one", 10, ())) for _ in range(6)]
    assert (taken, len(searched)) == ([10, 10, 10, 10, 0, 0], 1)

    monotonic.seconds += SEARCH_SECONDS
    assert (scheduler.take("one", 10, ()), len(searched)) == ([], 2)
    assert Lane(None, QUEUE, None) not in search(), "what is dead is in no lane"
    scheduler.notify([Lane("a.no/test", QUEUE, None)])
    assert (scheduler.take("one", 10, ()), len(searched)) == ([], 3), (
        "a ring of an earlier version has them searched for"
    )


def test_a_lane_is_scanned_when_its_next_message_is_due(database: Database, queue: MeldingQ) -> None:
    queue.accept(messages("a.no", 1))
    database.messages.update_many({}, {"$set": {"dueAt": database.server_time() + timedelta(seconds=2)}})
    scheduler = turns_of(database, queue, ManualMonotonic())

    assert scheduler.take("one", 10, ()) == []
    assert 0.0 < scheduler.seconds_to_wait(()) <= 2.0


@pytest.mark.parametrize("streams", [True, False], ids=["change stream", "reading again and again"])
def test_another_process_gets_a_notification(
    streams: bool, database: Database, queue: MeldingQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not streams:
        monkeypatch.setattr(LaneWatcher, "_follow", refuse)
    heard: list[Lane] = []
    missed, stop = threading.Event(), threading.Event()

    def hear(lanes: Iterable[Lane]) -> None:
        heard.extend(lanes)

    watcher = LaneWatcher(queue.lanes, hear, missed.set, longest_pause=0.05)
    listening = threading.Thread(target=watcher.run, args=(stop,))
    listening.start()
    try:
        wait_until(missed.is_set, "it has begun to listen")
        for institution in ("a.no", "b.no", "a.no"):
            queue.notify([Lane(f"{institution}/test", QUEUE)])
            wait_until(lambda: heard and heard[-1] == Lane(f"{institution}/test", QUEUE), "the ring is heard")  # noqa: B023
    finally:
        stop.set()
        listening.join()


def refuse(*_: Any) -> None:
    raise OperationFailure("no change streams here")


def test_a_slow_institution_leaves_workers_for_the_others(world: World) -> None:
    """The exam system of one institution hangs on every call. The requests of the other one are sent meanwhile."""
    world.configure(queue={"workers": 4})
    population = world.populate(institutions=2, courses=4, requests=40, variety=False)
    slow, quick = (institution["orgId"] for institution in population["institutions"])
    world.control.faults({"system": "wiseflow", "orgId": slow, "kind": "latency", "seconds": 0.5})
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    batch = threading.Thread(target=process.synchronisation.run_batch)
    batch.start()

    def sent(org: str) -> int:
        return world.database.cases.count_documents({"orgId": org, "state": "dispatched"})

    try:
        wait_until(
            lambda: sent(quick) == world.database.cases.count_documents({"orgId": quick}), "the quick one is done"
        )
        assert sent(slow) < world.database.cases.count_documents({"orgId": slow})
    finally:
        world.control.clear_faults()
        batch.join()
    world.carry(process)
    check_everything(world, 40)
