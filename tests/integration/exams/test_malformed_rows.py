"""Documents of the collections besides the queue, with any value in any field. None stops a poll, a claim, a call or a command.

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
from resources.wiring.process import Process
from tests.support.absent import ABSENT
from tests.support.explanation_rounds import poll_answers, read_requests
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
    """A third of the values for this field, another third for the next field."""
    return VALUES[fields.index(field) % 3 :: 3]


def changed(document: Document, field: str, value: object) -> Document:
    whole = {**document, field: value}
    return {name: each for name, each in whole.items() if each is not ABSENT}


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=2, courses=2, requests=8, variety=False)
    return world.process()


@pytest.fixture
def pair(process: Process) -> tuple[Institution, Institution]:
    """The institution with malformed documents, and another one."""
    first, second = process.stores.institutions.active()
    return first, second


# Pauses

PAUSE: Final[Document] = {
    "institution": "odd.no/test", "examSystem": "WISEFLOW", "system": "FS", "code": "fs.credentials_refused", "cause": "It is.",
    "since": AT, "trials": 0, "tryAt": AT,
}  # fmt: skip


def test_no_malformed_pause_stops_a_poll(process: Process, world: World) -> None:
    rows = [changed(PAUSE, field, value) for field in PAUSE for value in VALUES]
    process.stores.database.pauses.insert_many({"_id": f"odd-{number}", **row} for number, row in enumerate(rows))
    process.stores.database.pauses.insert_many(
        {"_id": key} for key in (1, bson.ObjectId(), {"a": 1}, bson.Binary(b"x"))
    )

    world.carry(process)

    assert process.stores.database.cases.count_documents({"state": "registered"}) == 8
    process.operators.status.read().plain()


def test_a_pause_with_a_malformed_time_is_probed(process: Process, pair: tuple[Institution, Institution]) -> None:
    """A pause that is never probed would stop its institution for ever."""
    malformed, _ = pair
    row = {**PAUSE, "institution": malformed.key, "examSystem": malformed.exam_system}
    for value in VALUES:
        process.stores.database.pauses.insert_one({"_id": malformed.tenant, **changed(row, "tryAt", value)})
        process.platform.probes.run_due()
        assert process.stores.pauses.all() == [], repr(value)[:60]


# Watermarks

MARK: Final[Document] = {"siden": AT, "failures": 0, "status": "processed"}


@pytest.mark.parametrize("field", MARK)
def test_no_malformed_watermark_stops_a_poll(
    field: str, process: Process, world: World, pair: tuple[Institution, Institution]
) -> None:
    malformed, neighbour = pair
    for value in third_for(field, list(MARK)):
        row = {"_id": row_key(malformed, MODULE), **changed(MARK, field, value)}
        process.stores.database.watermarks.replace_one({"_id": row["_id"]}, row, upsert=True)
        process.stores.database.received_keys.delete_many({})
        process.stores.database.messages.delete_many({})

        report = read_requests(process, [malformed, neighbour])

        assert (report.failed, report.accepted) == ({}, 8), repr(value)[:60]
        mark = process.stores.database.watermarks.find_one({"_id": row["_id"]})
        assert mark is not None
        assert isinstance(mark["siden"], datetime), repr(value)[:60]
        assert mark["siden"] <= process.stores.clock.now(), repr(value)[:60]
        assert mark["failures"] == 0


def test_failures_are_counted_and_alerted_whatever_count_is_stored(
    process: Process, world: World, pair: tuple[Institution, Institution]
) -> None:
    malformed, neighbour = pair
    key = row_key(malformed, MODULE)
    world.control.faults({"system": "fs", "orgId": malformed.org_id, "kind": "status", "status": 500})
    for value in VALUES:
        process.stores.database.watermarks.replace_one(
            {"_id": key}, {"_id": key, **changed(MARK, "failures", value)}, upsert=True
        )

        report = read_requests(process, [malformed, neighbour])

        assert list(report.failed) == [malformed.key]
        mark = process.stores.database.watermarks.find_one({"_id": key})
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
def test_no_malformed_case_stops_other_cases(
    state: str, process: Process, world: World, pair: tuple[Institution, Institution]
) -> None:
    """The case has the same exam and flow as another student's, unless its malformed field says otherwise."""
    malformed, _ = pair
    world.send(process)
    neighbour = process.stores.database.cases.find_one({"institution": malformed.key})
    assert neighbour is not None
    assert neighbour["state"] == "dispatched"
    whose = {name: neighbour[name] for name in ("institution", "orgId", "env", "vurdId", "flowId")}
    # Every third value of each field, another third for the next field. The three states together have all values.
    first = ["requested", "dispatched", "registered"].index(state)
    odds = [(field, value) for place, field in enumerate(CASE) for value in VALUES[(first + place) % 3 :: 3]]
    for number, one in enumerate(odds):
        case = changed({**CASE, **whose, "state": state, "correlationId": f"odd {number}"}, *one)
        with contextlib.suppress(OperationFailure):  # values that the server stores in no index
            process.stores.database.cases.insert_one({"_id": f"odd {number}", **case})
    process.stores.database.watermarks.delete_many({})

    for_days = timedelta(days=3650)
    report = read_requests(process, process.stores.institutions.active(), reach_back=for_days)
    assert report.failed == {}
    world.control.wait("submitted", world.control.summary()["dispatched"])
    polled = poll_answers(process, process.stores.institutions.active(), also_answered=True)
    assert set(polled.failed.values()) <= {"casebridge.case_unreadable", "wiseflow.forbidden"}
    process.synchronisation.run_batch()

    found = process.stores.database.cases.find_one({"_id": neighbour["_id"]})
    assert found is not None
    assert found["state"] == "registered"
    process.operators.status.read().plain()
    process.operators.completeness.account()
    near_deadlines(process.operators.cases, process.stores.clock, 3, 20)
    for number in range(0, len(odds), 10):
        process.operators.histories.by_correlation_id(f"odd {number}")


# Shares of the vendor's rate


PAGE: Final = ("version", "claims", "writer")


@pytest.mark.parametrize("field", PAGE)
def test_no_malformed_claim_set_of_a_rate_stops_a_call(field: str, process: Process, world: World) -> None:
    world.send(process)
    claim_set = process.stores.database.rate_shares.find_one({})
    assert claim_set is not None
    process.clients.close()
    for value in third_for(field, PAGE):
        for row in process.stores.database.rate_shares.find({}, {"_id": 1}):
            new = {"_id": row["_id"], **changed({"version": 3, "claims": [], "writer": "x"}, field, value)}
            process.stores.database.rate_shares.replace_one({"_id": row["_id"]}, new)
        later = world.process()
        for institution in later.stores.institutions.active():
            later.clients.exam_system(institution).check_credentials()
        later.close()


CLAIM: Final[Document] = {"holder": "another", "parts": 1, "wantsMore": False, "word": "w"}


def test_a_claim_on_a_rate_that_cannot_be_read_claims_nothing(process: Process, world: World) -> None:
    world.send(process)
    process.clients.close()
    claims = [changed(CLAIM, field, value) for field in CLAIM for value in VALUES if not isinstance(value, int)]
    process.stores.database.rate_shares.update_many(
        {}, {"$set": {"claims": [*claims, *(v for v in VALUES if v is not ABSENT)]}}
    )
    later = world.process()
    for institution in later.stores.institutions.active():
        later.clients.exam_system(institution).check_credentials()


# Alerts


ALERT: Final = ("openedAt", "lastAt", "state", "dueAt", "correlationIds", "institution", "relay")


@pytest.mark.parametrize("field", ALERT)
def test_an_alert_is_sent_whatever_an_earlier_alert_contains(field: str, process: Process, world: World) -> None:
    values = third_for(field, ALERT)
    for number, value in enumerate(values):
        alert = Alert(
            "uis.no/test", "uis.no", "s", "step", f"code.{number}", "Why.", "Do.", correlation_id=f"case {number}"
        )
        process.stores.alerts.enqueue(alert)
        fingerprint = process.stores.names.of_alert(alert).fingerprint
        row = process.stores.database.alerts.find_one({"_id": fingerprint})
        assert row is not None
        try:
            process.stores.database.alerts.replace_one({"_id": fingerprint}, changed(row, field, value))
        except OperationFailure:
            continue  # the server does not store the value in an index
        process.stores.alerts.enqueue(alert)
    for _ in range(2 * len(values)):
        process.relay.send_alerts()
    sent = str(world.control.slack_messages())
    missing = [
        number for number in range(len(values)) if f"code.{number}\\" not in sent and f"code.{number}\n" not in sent
    ]
    assert missing == []
