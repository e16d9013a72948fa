"""Lists are bounded: no read fetches whole documents, however large and many they are."""

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, get_type_hints

import pytest
from pymongo import monitoring

from assets.explanations.dispatched_requests import pending_cases
from assets.status_metadata import status_metadata
from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import MOST_ENTRIES, AuditLog
from casebridge.bounded import bounded
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.request_reader import QUEUE
from casebridge.exams.models import CandidatePlace
from casebridge.institutions.institution import Institution
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.queue.lanes import Lanes
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import LONG_AGO, MessageStatus
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators.case_history import CaseHistoryReader
from casebridge.operators.completeness_check import NAMED, CompletenessCheck
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import DeadLetters, Order
from casebridge.operators.near_deadlines import near_deadlines
from casebridge.operators.status import StatusReader
from casebridge.served_environment import EVERY_ENVIRONMENT
from command_line.where import show_history
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.world import World

MESSAGES = 60
CASES = 60
SIZE = 100_000
MOST_BYTES = 200_000
"""Much less than two messages of each hundred. What is shown of a message is some hundred bytes."""


class _Brought(monitoring.CommandListener):
    """The bytes of the replies to this process."""

    bytes = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing to do: the reply is counted when it comes."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.bytes += len(str(event.reply))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to do: a failure has no documents."""


_brought = _Brought()
monitoring.register(_brought)

READS: dict[str, Callable[[Process], object]] = {
    "pending cases": lambda process: pending_cases(process, timedelta(minutes=2)),
    "standing": status_metadata,
    "StatusReader.read": lambda process: process.operators.status.read(),
    "StatusReader.pending": lambda process: process.operators.status.pending(),
    "DeadLetters.find": lambda process: process.operators.dead_letters.find(DeadLetterFilter(), 20),
    "DeadLetters.show": lambda process: process.operators.dead_letters.show("c-1"),
    "DeadLetters.replay": lambda process: process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(100, False, "r", "a")
    ),
    "dry run": lambda process: process.operators.dead_letters.replay(DeadLetterFilter(), Order()),
    "DeadLetters.discard": lambda process: process.operators.dead_letters.discard(
        DeadLetterFilter(), Order(100, False, "r", "a")
    ),
    "CaseHistoryReader.by_correlation_id": lambda process: process.operators.histories.by_correlation_id("c-1"),
    "CaseHistoryReader.of": lambda process: process.operators.histories.of(
        process.capability(Explanations).cases.by_exam_and_candidate("exam", 1)
    ),
    "CompletenessCheck.account": lambda process: process.operators.completeness.account(),
    "AuditLog.of_case": lambda process: process.stores.audit.of_case("c-1"),
    "AuditLog.counts_since": lambda process: sum(1 for _ in process.stores.audit.counts_since(LONG_AGO)),
    "near deadlines": lambda process: near_deadlines(process.operators.cases, process.stores.clock, 2, 20),
    "Cases.by_ids": lambda process: process.capability(Explanations).cases.by_ids(
        [f"k-{number}" for number in range(CASES)]
    ),
    "Cases.awaiting_answer": lambda process: process.capability(Explanations).cases.awaiting_answer(
        _institution(process).key, LONG_AGO
    ),
    "Cases.on_participant": lambda process: process.capability(Explanations).cases.on_participant(
        _case(process), CandidatePlace("1", "1", "1")
    ),
    "Cases.on_flows": lambda process: process.capability(Explanations).cases.on_flows(_institution(process).key, ["1"]),
    "Cases.by_exam_and_candidate": lambda process: process.capability(Explanations).cases.by_exam_and_candidate(
        "exam", 1
    ),
    "Cases.counts": lambda process: sum(1 for _ in process.capability(Explanations).cases.counts()),
    "Cases.documents_on_exams": lambda process: process.capability(Explanations).cases.documents_on_exams(
        _institution(process), ["exam"]
    ),
    "Cases.exams_to_compare": lambda process: process.capability(Explanations).cases.exams_to_compare(
        _institution(process), LONG_AGO
    ),
    "Cases.states_of": lambda process: process.capability(Explanations).cases.states_of(
        [f"c-{number}" for number in range(CASES)]
    ),
    "Cases.due_by": lambda process: process.capability(Explanations).cases.due_by(process.stores.clock.now(), 20),
    "Cases.needing_message": lambda process: list(
        process.capability(Explanations).cases.needing_message(process.stores.clock.now())
    ),
    "Cases.still_needing_message": lambda process: process.capability(Explanations).cases.still_needing_message(
        f"k-{number}" for number in range(CASES)
    ),
    "Cases.keeping": lambda process: process.capability(Explanations).cases.keeping(
        (f"c-{number}" for number in range(CASES)), EVERY_ENVIRONMENT
    ),
    "Cases.open_of": lambda process: list(process.capability(Explanations).cases.open_of(_institution(process).key)),
    "Cases.past_deadline": lambda process: process.capability(Explanations).cases.past_deadline(
        _institution(process), process.stores.clock.now().date(), 20
    ),
    "MeldingQ.find": lambda process: process.stores.queue.find({}, 5, {"correlationId": 1}),
    "MeldingQ.at_work": lambda process: process.stores.queue.at_work([f"k-{number}" for number in range(CASES)]),
    "MeldingQ.settled": lambda process: process.stores.queue.settled([f"k-{number}" for number in range(CASES)]),
    "MeldingQ.statuses_of": lambda process: process.stores.queue.statuses_of("k-1", "wiseflow-begrunnelse"),
    "StoredMessages.rows": lambda process: list(_messages(process).rows(DeadLetterFilter(), 20, 20)),
    "StoredMessages.counts": lambda process: list(_messages(process).counts(DeadLetterFilter())),
    "StoredMessages.stories": lambda process: _messages(process).stories("c-1", None, [MessageStatus.DEAD], 20),
    "StoredMessages.of_case": lambda process: _messages(process).of_case("c-1", 20),
    "StoredMessages.carrying": lambda process: list(_messages(process).carrying(["k-1"], [MessageStatus.DEAD])),
    "Lanes.search": lambda process: process.stores.queue.lanes.search(),
    "Blacklist.rows": lambda process: Blacklist(process.stores.database).rows(),
    "Blacklist.unusable": lambda process: Blacklist(process.stores.database).unusable(),
}
"""Each way to read many documents. A method has the name of its class."""
STORES: Final = (
    CompletenessCheck, AlertOutbox, AuditLog, Blacklist, Cases, DeadLetters, Lanes, MeldingQ, Pauses, CaseHistoryReader,
    StatusReader, StoredMessages,
)  # fmt: skip
NO_LISTS: Final = {
    "AlertOutbox.claim": "at most as many as it is asked for, one a cause, and each names 50 cases at most",
    "Cases.insert_new": "as many as are given, by `by_ids`",
    "Cases.new_document": "one document, which is not read but made",
    "Cases.open": "as many as are given, by `by_ids`",
    "Lanes.read": "one small document a lane, which holds nothing but names and a time",
    "MeldingQ.accept": "as many as are given",
    "MeldingQ.claim": "at most as many as it is asked for, to be worked at",
    "MeldingQ.finish": "as many as are given",
    "MeldingQ.without_resurrected": "as many as are given",
    "Pauses.all": "one small document an institution",
    "Pauses.paused": "one small document an institution",
    "Pauses.take_due_probes": "one small document an institution",
}
"""Functions that return many but read no growing data, each with the reason."""


def _institution(process: Process) -> Institution:
    return process.stores.institutions.active()[0]


def _messages(process: Process) -> StoredMessages:
    return StoredMessages(process.stores.database)


def _case(process: Process) -> Case:
    return process.capability(Explanations).cases.by_ids(["k-1"])[0]


@pytest.mark.parametrize("name", READS)
def test_a_read_fetches_no_contents(name: str, world: World) -> None:
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    process = world.process()
    key = process.stores.institutions.active()[0].key
    error = {
        "at": process.stores.clock.now(),
        "attempt": 1,
        "step": "s",
        "category": "permanent",
        "code": "a.b",
        "cause": "c",
        "nextAction": "n",
    }
    process.stores.database.messages.insert_many(
        {
            "_id": f"m-{number}", "queue": QUEUE, "status": "dead" if number % 2 else "enqueued", "institution": key,
            "orgId": "o", "env": "test", "examSystem": "WISEFLOW", "correlationId": "c-1" if number < 2 else f"c-{number}",
            "orderingKey": f"k-{number}", "enqueuedAt": process.stores.clock.now(),
            "dueAt": process.stores.clock.now(), "generation": 1,
            "attempts": 1, "errors": [error] * 3, "payload": {"text": "x" * SIZE},
            "origin": {"topic": "t", "partition": 0, "offset": number, "value": b"x" * SIZE, "key": b"k", "headers": []},
        }
        for number in range(MESSAGES)
    )  # fmt: skip

    others(process, key)

    before = _brought.bytes
    READS[name](process)

    assert 0 < _brought.bytes - before < MOST_BYTES


def others(process: Process, key: str) -> None:
    """Documents of the other collections: each with a field that no release writes, and more than a list may show."""
    now, stray = process.stores.clock.now(), "x" * SIZE
    process.stores.database.cases.insert_many(
        {
            "_id": f"k-{number}", "correlationId": f"c-{number}", "institution": key, "examSystem": "WISEFLOW",
            "orgId": "o", "env": "test", "state": ("requested", "dispatched", "registered")[number % 3], "setAside": None,
            "vurdId": "exam", "kandidatnr": 1, "personlopenr": number, "flowId": 1, "participantId": 1, "submissionId": 1,
            "explanationRequestId": number, "openedAt": LONG_AGO, "registeredAt": now, "deadline": LONG_AGO, "stray": stray,
        }
        for number in range(CASES)
    )  # fmt: skip
    process.stores.database.audit_log.insert_many(
        {
            "_id": f"a-{number}", "time": now, "correlationId": "c-1", "submodule": "s", "step": f"step {number}",
            "success": False, "errorMessage": "e", "detail": {}, "stray": stray,
        }
        for number in range(MESSAGES)
    )  # fmt: skip
    process.stores.database.slack_blacklists.insert_many({"pattern": 404, "stray": stray} for _ in range(5))


def test_every_way_to_list_is_measured() -> None:
    """A method that returns many must be measured here, or say why it needs no bound."""
    listing = set(_listing_methods())

    assert listing - READS.keys() - NO_LISTS.keys() == set()
    assert {name for name in NO_LISTS if name not in listing} == set(), "named, and not there any more"


def _listing_methods() -> Iterator[str]:
    for store in STORES:
        for name, method in inspect.getmembers(store, inspect.isfunction):
            if not name.startswith("_") and _is_many(get_type_hints(method).get("return")):
                yield f"{store.__name__}.{name}"


def _is_many(returned: Any) -> bool:
    shown = str(returned)
    return any(
        instruction in shown
        for instruction in ("list[", "dict[", "set[", "Sequence[", "Iterator[", "Iterable[", "Mapping[")
    ) or (getattr(returned, "__name__", "") in {"Listing", "Status", "Account", "ActionReport"})


def test_a_case_history_of_many_steps_shows_the_last_and_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    process = world.process()
    began = process.stores.clock.now() - timedelta(days=1)
    process.stores.database.audit_log.insert_many(
        {
            "_id": f"a-{number}", "time": began + timedelta(seconds=number), "correlationId": "c-1", "step": f"step {number}",
            "success": True,
        }
        for number in range(MOST_ENTRIES + 20)
    )  # fmt: skip

    history = process.operators.histories.by_correlation_id("c-1")
    assert history is not None
    show_history(history)
    earlier = process.operators.histories.by_correlation_id("c-1", before=history.milestones[0].time)

    assert (len(history.milestones), history.milestones_found) == (MOST_ENTRIES, MOST_ENTRIES + 20)
    assert (history.milestones[0].step, history.milestones[-1].step) == ("step 20", f"step {MOST_ENTRIES + 19}")
    assert f"The last {MOST_ENTRIES} of {MOST_ENTRIES + 20} steps" in capsys.readouterr().out
    assert earlier is not None
    assert [stone.step for stone in earlier.milestones] == [f"step {number}" for number in range(20)]


def test_all_lost_cases_are_counted_and_some_are_named(world: World) -> None:
    process = world.process()
    process.stores.database.cases.insert_many(
        {
            "_id": f"k-{number}", "correlationId": f"c-{number}", "institution": "a.no/test", "state": "requested",
            "openedAt": LONG_AGO, "setAside": None,
        }
        for number in range(NAMED + 30)
    )  # fmt: skip

    found = process.operators.completeness.account()

    assert (found.cases, found.lost, len(found.unaccounted)) == (NAMED + 30, NAMED + 30, NAMED)


def test_many_bytes_end_a_list_before_many_rows() -> None:
    rows = [{"_id": number, "text": "x" * 1000} for number in range(10)]

    assert bounded(rows, 5) == rows[:5]
    assert bounded(rows, 10, 3500) == rows[:3]
    assert bounded(rows[:2], 2) == rows[:2]
