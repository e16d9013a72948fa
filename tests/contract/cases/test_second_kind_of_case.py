"""A second kind of case needs only states, fields and a collection of its own: no exam and no student registry."""

from datetime import timedelta

import pytest

from casebridge.bounded import BoundedRows
from casebridge.cases.case import NOT_SET_ASIDE, Link
from casebridge.cases.case_advance import CaseAdvance
from casebridge.database import Database
from casebridge.served_environment import ServedEnvironment
from tests.support.command_counts import counted
from tests.support.manual_clock import ManualClock
from tests.support.mongodb_servers import OF_EACH_KIND
from tests.support.second_kind_of_case import DocumentRequest, DocumentRequests

pytestmark = OF_EACH_KIND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def requests(database: Database, clock: ManualClock) -> DocumentRequests:
    requests = DocumentRequests(database, clock)
    requests.collection.delete_many({})
    return requests


def stored(requests: DocumentRequests, key: str) -> DocumentRequest:
    found = requests.get(key)
    assert found is not None
    return found


def test_a_case_is_opened_once(requests: DocumentRequests) -> None:
    with counted() as commands:
        (first,) = requests.receive("a")
    (again,) = requests.receive("a")

    assert commands == {"insert": 1, "find": 1}
    assert (first.state, first.institution, first.document_name) == ("received", "uis.no/test", "deed")
    assert again.correlation_id == first.correlation_id, "the number is made once"
    assert requests.count() == 1


def test_a_case_moves_along_allowed_transitions_only(requests: DocumentRequests) -> None:
    requests.receive("a")

    requests.advance([CaseAdvance("a", "delivered")])
    assert stored(requests, "a").state == "received", "nothing leads from received to delivered"
    requests.advance([CaseAdvance("a", "with_archive"), CaseAdvance("a", "delivered", {"deliveredTo": "desk"})])
    assert stored(requests, "a").state == "delivered"
    for state in ("with_archive", "refused", "received"):
        requests.move(["a"], state)
        assert stored(requests, "a").state == "delivered", f"nothing leads from delivered to {state}"


def test_a_refused_case_may_be_received_again(requests: DocumentRequests, clock: ManualClock) -> None:
    requests.receive("a")
    requests.move(["a", None, {"$ne": 0}], "refused")
    refused = stored(requests, "a")
    requests.move(["a"], "received")

    assert refused.state == "refused"
    assert refused.document["refusedAt"] == clock.now()
    assert stored(requests, "a").state == "received"


def test_an_unknown_state_is_a_defect(requests: DocumentRequests) -> None:
    requests.receive("a")
    with pytest.raises(ValueError, match="not a state"):
        requests.move(["a"], "registered")
    with pytest.raises(ValueError, match="not a state"):
        requests.advance([CaseAdvance("a", "registered")])


def test_a_stored_case_in_an_unknown_state_is_skipped(requests: DocumentRequests) -> None:
    requests.receive("a", "b")
    requests.collection.update_one({"_id": "a"}, {"$set": {"state": "registered"}})
    assert [case.id for case in requests.by_ids(["a", "b"])] == ["b"]


def test_a_case_is_set_aside_discarded_brought_back_and_done(requests: DocumentRequests) -> None:
    requests.receive("a")
    requests.set_aside("a", "archive.away")
    assert stored(requests, "a").set_aside == "archive.away"

    requests.discard(["a"], by="kari", reason="a test")
    discarded = stored(requests, "a")
    assert (discarded.set_aside, discarded.is_discarded) == (None, True)

    requests.bring_back(["a"], "archive.away")
    assert (stored(requests, "a").set_aside, stored(requests, "a").is_discarded) == ("archive.away", False)

    requests.advance([CaseAdvance("a", "with_archive", values=NOT_SET_ASIDE)])
    assert (stored(requests, "a").state, stored(requests, "a").set_aside) == ("with_archive", None)


def test_only_an_open_case_is_set_aside(requests: DocumentRequests) -> None:
    requests.receive("a")
    requests.move(["a"], "refused")
    requests.set_aside("a", "archive.away")
    assert stored(requests, "a").set_aside is None


def test_cases_are_found_counted_and_listed(requests: DocumentRequests) -> None:
    first, second, third = requests.receive("a", "b", "c")
    requests.move(["b"], "with_archive")
    requests.move(["c"], "refused")
    requests.set_aside("b", "archive.away")

    assert requests.by_correlation_id(second.correlation_id) == stored(requests, "b")
    assert requests.by_correlation_id("another") is None
    assert requests.knows_case(first.correlation_id)
    assert not requests.knows_case("another")
    assert (requests.knows_institution("uis.no/test"), requests.knows_institution("uis.no/prod")) == (True, False)
    assert {document["_id"] for document in requests.open_of("uis.no/test")} == {"a", "b"}
    assert requests.states_of([first.correlation_id, second.correlation_id, third.correlation_id]) == {
        first.correlation_id: "received",
        second.correlation_id: "set_aside",
        third.correlation_id: "refused",
    }
    assert sum(row["cases"] for row in requests.counts()) == 3


def test_only_open_cases_in_given_states_need_a_message(requests: DocumentRequests, clock: ManualClock) -> None:
    requests.receive("a", "b")
    requests.move(["b"], "with_archive")
    clock.pass_time(60)
    requests.receive("too young")

    parts = list(requests.needing_message(clock.now() - timedelta(seconds=30)))

    assert parts == [["a"]]
    assert requests.still_needing_message(["a", "b"]) == {"a": stored(requests, "a").correlation_id}


def test_only_open_cases_have_deadlines(requests: DocumentRequests, clock: ManualClock) -> None:
    requests.receive("a", "b", "refused", "discarded")
    requests.collection.update_many({}, {"$set": {"deadline": clock.now()}})
    requests.collection.update_one({"_id": "b"}, {"$set": {"deadline": clock.now() - timedelta(days=1)}})
    requests.move(["refused"], "refused")
    requests.set_aside("discarded", "archive.away")
    requests.discard(["discarded"], by="kari", reason="a test")

    found = requests.due_by(clock.now(), 10)

    assert requests.count_due_by(clock.now()) == 2
    assert isinstance(found, BoundedRows)
    assert [document["_id"] for document in found] == ["b", "a"]
    assert stored(requests, "a").deadline == clock.now()


def test_received_keys_are_kept_for_open_cases_and_for_those_of_other_environments(requests: DocumentRequests) -> None:
    first, second = requests.receive("a", "b")
    requests.move(["b"], "refused")
    numbers = [first.correlation_id, second.correlation_id]

    assert requests.keeping(numbers, ServedEnvironment()) == {first.correlation_id}
    assert requests.keeping(numbers, ServedEnvironment("prod")) == set(numbers)


def test_a_link_is_added_once(requests: DocumentRequests) -> None:
    (first,) = requests.receive("a")
    link = Link("appeal_of", "another case")
    requests.link("a", link)
    requests.link("a", link)

    assert first.links == ()
    assert stored(requests, "a").links == (link,)


def test_it_has_the_indexes_of_every_kind_of_case(requests: DocumentRequests) -> None:
    requests.receive("a")
    for _ in range(2):
        requests.ensure_indexes()
    keys = [list(dict(index["key"])) for index in requests.collection.list_indexes()]
    assert sorted(keys) == [["_id"], ["correlationId"], ["institution", "state", "deadline"]]


def test_a_mark_is_set_and_cleared(requests: DocumentRequests, clock: ManualClock) -> None:
    requests.receive("a")
    requests.mark_now(["a"], "lateToldAt")
    assert stored(requests, "a").document["lateToldAt"] == clock.now()
    requests.clear_mark(["a"], "lateToldAt")
    assert "lateToldAt" not in stored(requests, "a").document
