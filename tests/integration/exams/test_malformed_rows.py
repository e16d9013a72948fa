"""Documents of the collections beside the queue, with any value in any field: none stops a poll, a claim, a call or a command.

The messages of the queue have their own tests (`tests/contract/queue/test_queue_malformed_documents.py`).
"""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import pytest
from pymongo.errors import OperationFailure

from casebridge.alerts.alert import Alert
from casebridge.database import Document
from casebridge.institutions.institution import Institution
from casebridge.operators.near_deadlines import near_deadlines
from casebridge.sources.watermarks import MODULE, row_key
from resources.wiring.bridge import Bridge
from tests.support.absent import ABSENT
from tests.support.world import World

AT: Final = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
YEAR_9999: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


VALUES: Final = (
    ABSENT, None, True, -1, 2**40, 2**62, 1.5, float("nan"), float("inf"), "", "x", "[/x]", "9" * 5000, b"x", [], ["x"], [None],
    {}, {"$gt": ""}, deep(90), AT, datetime(1, 1, 1, tzinfo=UTC), YEAR_9999,
    bson.Decimal128("NaN"), bson.Int64(7), bson.Regex("(a+)+$", "i"), bson.Regex("["), bson.MinKey(), bson.MaxKey(),
    bson.Timestamp(1, 1), bson.Binary(b"x", 4), bson.Code("x"), bson.DBRef("c", 1),
    bson.ObjectId("6b0a66580b47904605880aeb"),
)  # fmt: skip


def third_for(field: str, fields: Sequence[str]) -> tuple[Any, ...]:
    """A third of the values for this one of the fields, another third for the next."""
    return VALUES[fields.index(field) % 3 :: 3]


def changed(document: Document, field: str, value: object) -> Document:
    whole = {**document, field: value}
    return {name: each for name, each in whole.items() if each is not ABSENT}


@pytest.fixture
def bridge(world: World) -> Bridge:
    world.populate(institutions=2, courses=2, requests=8, variety=False)
    return world.bridge()


@pytest.fixture
def pair(bridge: Bridge) -> tuple[Institution, Institution]:
    """The institution whose documents are odd, and its neighbour."""
    first, second = bridge.institutions.active()
    return first, second


# Pauses

PAUSE: Final[Document] = {
    "institution": "odd.no/test", "examSystem": "WISEFLOW", "system": "FS", "code": "fs.credentials_refused", "cause": "It is.",
    "since": AT, "trials": 0, "tryAt": AT,
}  # fmt: skip


def test_no_pause_whatever_it_holds_stops_a_round(bridge: Bridge, world: World) -> None:
    rows = [changed(PAUSE, field, value) for field in PAUSE for value in VALUES]
    bridge.database.pauses.insert_many({"_id": f"odd-{number}", **row} for number, row in enumerate(rows))
    bridge.database.pauses.insert_many({"_id": key} for key in (1, bson.ObjectId(), {"a": 1}, bson.Binary(b"x")))

    world.carry(bridge)

    assert bridge.database.cases.count_documents({"state": "registered"}) == 8
    bridge.status.read().plain()


def test_a_pause_is_tried_whatever_its_time_says(bridge: Bridge, pair: tuple[Institution, Institution]) -> None:
    """A pause that nobody would ever try holds its institution back for good."""
    odd, _ = pair
    row = {**PAUSE, "institution": odd.key, "examSystem": odd.exam_system}
    for value in VALUES:
        bridge.database.pauses.insert_one({"_id": odd.tenant, **changed(row, "tryAt", value)})
        bridge.probes.run_due()
        assert bridge.pauses.all() == [], repr(value)[:60]


# Watermarks

MARK: Final[Document] = {"siden": AT, "failures": 0, "status": "processed"}


@pytest.mark.parametrize("field", MARK)
def test_no_watermark_whatever_it_holds_stops_a_poll(
    field: str, bridge: Bridge, world: World, pair: tuple[Institution, Institution]
) -> None:
    odd, neighbour = pair
    for value in third_for(field, list(MARK)):
        row = {"_id": row_key(odd, MODULE), **changed(MARK, field, value)}
        bridge.database.watermarks.replace_one({"_id": row["_id"]}, row, upsert=True)
        bridge.database.received_keys.delete_many({})
        bridge.database.messages.delete_many({})

        report = bridge.synchronisation.read_requests([odd, neighbour])

        assert (report.failed, report.accepted) == ({}, 8), repr(value)[:60]
        mark = bridge.database.watermarks.find_one({"_id": row["_id"]})
        assert mark is not None
        assert isinstance(mark["siden"], datetime), repr(value)[:60]
        assert mark["siden"] <= bridge.clock.now(), repr(value)[:60]
        assert mark["failures"] == 0


def test_failures_are_counted_and_told_whatever_was_counted_before(
    bridge: Bridge, world: World, pair: tuple[Institution, Institution]
) -> None:
    odd, neighbour = pair
    key = row_key(odd, MODULE)
    world.control.faults({"system": "fs", "orgId": odd.org_id, "kind": "status", "status": 500})
    for value in VALUES:
        bridge.database.watermarks.replace_one(
            {"_id": key}, {"_id": key, **changed(MARK, "failures", value)}, upsert=True
        )

        report = bridge.synchronisation.read_requests([odd, neighbour])

        assert list(report.failed) == [odd.key]
        mark = bridge.database.watermarks.find_one({"_id": key})
        assert mark is not None
        assert mark["failures"] >= 1, repr(value)[:60]


# Cases

CASE: Final[Document] = {
    "correlationId": "odd", "type": "BEGRUNN", "vurdId": "x", "personlopenr": 1, "kandidatnr": 1, "askedOn": AT, "deadline": AT,
    "version": "v", "versions": ["v"], "revision": 0, "state": "dispatched", "openedAt": AT, "setAside": None, "flowId": 1,
    "participantId": 1, "submissionId": 1, "explanationRequestId": 1, "registeredAt": AT, "deadlineToldAt": None,
    "reopenedAt": None, "examSystem": "WISEFLOW",
}  # fmt: skip


@pytest.mark.parametrize("state", ["requested", "dispatched", "registered"])
def test_no_case_whatever_it_holds_stops_its_neighbours(
    state: str, bridge: Bridge, world: World, pair: tuple[Institution, Institution]
) -> None:
    """On the same exam and flow as another student's, where its own fields do not say otherwise."""
    odd, _ = pair
    world.send(bridge)
    neighbour = bridge.database.cases.find_one({"institution": odd.key})
    assert neighbour is not None
    assert neighbour["state"] == "dispatched"
    whose = {name: neighbour[name] for name in ("institution", "orgId", "env", "vurdId", "flowId")}
    # Every third value of each field, another third for the next field: all of them in the three states together.
    first = ["requested", "dispatched", "registered"].index(state)
    odds = [(field, value) for place, field in enumerate(CASE) for value in VALUES[(first + place) % 3 :: 3]]
    for number, one in enumerate(odds):
        case = changed({**CASE, **whose, "state": state, "correlationId": f"odd {number}"}, *one)
        with contextlib.suppress(OperationFailure):  # what the server takes in no index
            bridge.database.cases.insert_one({"_id": f"odd {number}", **case})
    bridge.database.watermarks.delete_many({})

    for_days = timedelta(days=3650)
    report = bridge.synchronisation.read_requests(bridge.institutions.active(), reach_back=for_days)
    assert report.failed == {}
    world.control.wait("submitted", world.control.summary()["dispatched"])
    polled = bridge.synchronisation.poll_answers(bridge.institutions.active(), also_answered=True)
    assert set(polled.failed.values()) <= {"casebridge.case_unreadable", "wiseflow.forbidden"}
    bridge.synchronisation.run_batch()

    found = bridge.database.cases.find_one({"_id": neighbour["_id"]})
    assert found is not None
    assert found["state"] == "registered"
    bridge.status.read().plain()
    bridge.completeness.account()
    near_deadlines(bridge.all_cases, bridge.clock, 3, 20)
    for number in range(0, len(odds), 10):
        bridge.histories.by_correlation_id(f"odd {number}")


# Shares of the vendor's rate


PAGE: Final = ("version", "claims", "writer")


@pytest.mark.parametrize("field", PAGE)
def test_no_claim_set_of_a_rate_whatever_it_holds_stops_a_call(field: str, bridge: Bridge, world: World) -> None:
    world.send(bridge)
    page = bridge.database.rate_shares.find_one({})
    assert page is not None
    bridge.clients.close()
    for value in third_for(field, PAGE):
        for row in bridge.database.rate_shares.find({}, {"_id": 1}):
            new = {"_id": row["_id"], **changed({"version": 3, "claims": [], "writer": "x"}, field, value)}
            bridge.database.rate_shares.replace_one({"_id": row["_id"]}, new)
        later = world.bridge()
        for institution in later.institutions.active():
            later.clients.exam_system(institution).check_credentials()
        later.close()


CLAIM: Final[Document] = {"holder": "another", "parts": 1, "wantsMore": False, "word": "w"}


def test_a_claim_on_a_rate_that_cannot_be_read_claims_nothing(bridge: Bridge, world: World) -> None:
    world.send(bridge)
    bridge.clients.close()
    claims = [changed(CLAIM, field, value) for field in CLAIM for value in VALUES if not isinstance(value, int)]
    bridge.database.rate_shares.update_many(
        {}, {"$set": {"claims": [*claims, *(v for v in VALUES if v is not ABSENT)]}}
    )
    later = world.bridge()
    for institution in later.institutions.active():
        later.clients.exam_system(institution).check_credentials()


# Alerts


ALERT: Final = ("openedAt", "lastAt", "state", "dueAt", "correlationIds", "institution", "relay")


@pytest.mark.parametrize("field", ALERT)
def test_people_are_told_whatever_an_earlier_alert_holds(field: str, bridge: Bridge, world: World) -> None:
    values = third_for(field, ALERT)
    for number, value in enumerate(values):
        alert = Alert(
            "uis.no/test", "uis.no", "s", "step", f"code.{number}", "Why.", "Do.", correlation_id=f"case {number}"
        )
        bridge.alerts.enqueue(alert)
        fingerprint = bridge.names.of_alert(alert).fingerprint
        row = bridge.database.alerts.find_one({"_id": fingerprint})
        assert row is not None
        try:
            bridge.database.alerts.replace_one({"_id": fingerprint}, changed(row, field, value))
        except OperationFailure:
            continue  # the server does not take the value in an index
        bridge.alerts.enqueue(alert)
    for _ in range(2 * len(values)):
        bridge.relay.send_alerts()
    told = str(world.control.slack_messages())
    missing = [
        number for number in range(len(values)) if f"code.{number}\\" not in told and f"code.{number}\n" not in told
    ]
    assert missing == []
