"""Operators' questions cover the cases of every capability: here explanations, and a kind that only the tests have."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from casebridge.audit.log import AuditLog
from casebridge.cases.case import Link
from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import MessageStatus
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators.case_history import CaseHistoryReader
from casebridge.operators.completeness_check import CompletenessCheck
from casebridge.operators.dead_letter import DeadLetterFilter, RequestError
from casebridge.operators.dead_letters import DeadLetters
from casebridge.operators.near_deadlines import near_deadlines
from casebridge.operators.rekeying import Rekeying
from casebridge.operators.retention import Retention
from casebridge.settings import RetentionSettings
from tests.support.dead_letters import FOR_REAL, dead
from tests.support.manual_clock import ManualClock
from tests.support.second_kind_of_case import DocumentRequests

QUEUE = "document-requests"
CODE = "archive.away"


@dataclass
class Desk:
    """The operators' parts over both kinds of cases, with one case of each: an explanation and a request for a document."""

    database: Database
    clock: ManualClock
    queue: MeldingQ
    explanations: Cases
    requests: DocumentRequests
    explanation: str
    request: str

    @property
    def cases(self) -> tuple[Cases, DocumentRequests]:
        return self.explanations, self.requests

    @property
    def messages(self) -> StoredMessages:
        return StoredMessages(self.database)

    @property
    def letters(self) -> DeadLetters:
        audit = AuditLog(self.database)
        return DeadLetters(self.messages, self.queue, self.cases, audit, self.clock, queues=(QUEUE,))

    def mark_of(self, number: str) -> tuple[str | None, bool]:
        case = self.requests.by_correlation_id(number)
        assert case is not None
        return case.set_aside, case.is_discarded


@pytest.fixture
def desk(database: Database) -> Desk:
    clock = ManualClock()
    explanations, requests = Cases(database, clock, 14), DocumentRequests(database, clock)
    for collection in (database.cases, requests.collection, database.messages, database.audit_log):
        collection.delete_many({})
    explanation = explanations.new_document("an explanation", "uis.no", "test", {"deadline": clock.now()})
    database.cases.insert_one(explanation)
    (request,) = requests.receive("a request")
    requests.set_aside("a request", CODE)
    names = {"orderingKey": "a request", "correlationId": request.correlation_id, "queue": QUEUE}
    database.messages.insert_one(dead(1, CODE, **names))
    queue = MeldingQ(database, clock, timedelta(seconds=60))
    return Desk(database, clock, queue, explanations, requests, explanation["correlationId"], request.correlation_id)


def test_a_case_of_the_second_kind_has_a_history_and_links(desk: Desk) -> None:
    histories = CaseHistoryReader(desk.cases, desk.messages, AuditLog(desk.database))
    desk.requests.link("a request", Link("about", desk.explanation))

    history = histories.by_correlation_id(desk.request)

    assert history is not None
    assert (history.state, history.set_aside, history.next_action) == ("received", CODE, "Look at it.")
    assert history.plain()["links"] == ({"relation": "about", "correlation_id": desk.explanation},)
    (linked,) = [histories.by_correlation_id(link.correlation_id) for link in history.links]
    assert linked is not None
    assert (linked.state, "links" in linked.plain()) == ("requested", False)
    assert histories.by_correlation_id("another") is None


def test_its_dead_message_is_found_discarded_and_replayed(desk: Desk) -> None:
    wanted = DeadLetterFilter(correlation_id=desk.request, queue=QUEUE, institution="uis.no/test")
    assert desk.letters.find(wanted, 10).by_code == {CODE: 1}

    assert desk.letters.discard(wanted, FOR_REAL).changed == 1
    assert desk.mark_of(desk.request) == (None, True)

    discarded = DeadLetterFilter(MessageStatus.DISCARDED, correlation_id=desk.request)
    assert desk.letters.replay(discarded, FOR_REAL).changed == 1
    assert desk.mark_of(desk.request) == (CODE, False)


def test_a_case_without_a_message_is_known_and_another_is_not(desk: Desk) -> None:
    desk.database.messages.delete_many({})
    for number in (desk.explanation, desk.request):
        assert desk.letters.find(DeadLetterFilter(correlation_id=number), 10).found == 0
    with pytest.raises(RequestError, match="is unknown"):
        desk.letters.find(DeadLetterFilter(correlation_id="another"), 10)
    with pytest.raises(RequestError, match="there are document-requests"):
        desk.letters.find(DeadLetterFilter(queue="another"), 10)


def test_both_kinds_are_checked_for_completeness(desk: Desk) -> None:
    desk.clock.pass_time(120)
    check = CompletenessCheck(desk.cases, desk.messages, desk.clock, timedelta(seconds=60))
    first = check.account()
    desk.database.messages.delete_many({})
    second = check.account()
    desk.requests.move(["a request"], "with_archive")
    third = check.account()

    assert (first.cases, first.lost, first.unaccounted) == (2, 1, (desk.explanation,))
    assert (second.lost, set(second.unaccounted)) == (2, {desk.explanation, desk.request})
    assert third.unaccounted == (desk.explanation,), "the archive has the other one"


def test_deadlines_of_both_kinds_are_in_one_order(desk: Desk) -> None:
    earlier = desk.clock.now() - timedelta(days=3)
    desk.requests.collection.update_one({"_id": "a request"}, {"$set": {"deadline": earlier}})

    found = near_deadlines(desk.cases, desk.clock, 2, 10)

    assert (found.past, found.near) == (1, 1)
    assert [document["_id"] for document in found.most_urgent] == ["a request", "an explanation"]
    assert len(near_deadlines(desk.cases, desk.clock, 2, 1).most_urgent) == 1


def test_received_keys_of_open_cases_of_both_kinds_stay(desk: Desk) -> None:
    numbers = (desk.explanation, desk.request, "of no case")
    desk.database.received_keys.delete_many({})
    desk.database.received_keys.insert_many(
        [{"_id": f"key of {number}", "firstSeen": desk.clock.now(), "correlationId": number} for number in numbers]
    )

    def pruned(clock: Clock) -> set[str]:
        audit = AuditLog(desk.database)
        settings = RetentionSettings()
        retention = Retention(desk.database, desk.cases, audit, clock, settings, desk.queue.move_discarded)
        retention.prune(dry_run=False, asked_by="a test")
        return {row["correlationId"] for row in desk.database.received_keys.find()}

    desk.clock.pass_time(timedelta(days=3650).total_seconds())
    assert pruned(desk.clock) == {desk.explanation, desk.request}
    desk.requests.move(["a request"], "refused")
    assert pruned(desk.clock) == {desk.explanation}


def test_names_are_normalised_in_both_kinds(desk: Desk) -> None:
    misspelt = {"orgId": "UiS.no", "institution": "UiS.no/test", "examSystem": "WISEFLOW"}
    desk.database.cases.update_one({}, {"$set": misspelt})
    desk.requests.collection.update_one({}, {"$set": misspelt})

    changed = Rekeying(desk.queue.lanes, desk.messages, desk.cases).run()

    assert changed == 2
    assert all(store.knows_institution("uis.no/test") for store in desk.cases)
    assert not any(store.knows_institution("UiS.no/test") for store in desk.cases)
