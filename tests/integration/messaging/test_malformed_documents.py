"""Documents without some fields, or with other types than any release writes, stop no read and no action of an operator."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from bson import ObjectId, Regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from assets.explanations.checks import dead_letters, deadline_overdue, nothing_lost, oldest_pending
from assets.status_metadata import status_metadata
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from command_line.main import application
from resources.wiring.process import Process
from tests.support.given_process import resource_with
from tests.support.world import World

AT = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
MESSAGES: list[dict[str, Any]] = [
    {"status": "dead"},
    {"status": "dead", "errors": None},
    {"status": "dead", "errors": []},
    {"status": "dead", "errors": "text"},
    {"status": "dead", "errors": [None, 5, "x"]},
    {"status": "dead", "errors": [{"at": "yesterday", "code": 5, "cause": None, "nextAction": ["x"]}]},
    {"status": "dead", "institution": {"a": 1}, "queue": 7, "correlationId": None, "orderingKey": ["x"]},
    {"status": "dead", "enqueuedAt": "long ago", "generation": "two", "attempts": None},
    {"status": "dead", "steps": ["x"], "origin": "topic", "replays": {"by": 1}, "discardedAt": 5},
    {"status": "dead", "steps": {"find_exam": None}, "origin": {"topic": Regex("x")}, "replays": [None, {"at": 1}]},
    {"status": "failed"},
    {"status": "failed", "dueAt": "soon", "errors": [{}]},
    {"status": "discarded"},
    {"status": "discarded", "discardedAt": AT},
    {"status": "enqueued", "institution": ObjectId("6b0a66580b47904605880aeb"), "enqueuedAt": None},
]


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    return world.process()


def read_everything(process: Process) -> None:
    process.operators.status.read().plain()
    status_metadata(process)
    for one in (MessageStatus.DEAD, MessageStatus.FAILED, MessageStatus.DISCARDED):
        for wanted in (DeadLetterFilter(one), DeadLetterFilter(one, code="unknown"), DeadLetterFilter(one, since=AT)):
            process.operators.dead_letters.find(wanted, 50).plain()
            process.operators.dead_letters.replay(wanted, Order())
    for case in ("c-1", "unknown"):
        [story.plain() for story in process.operators.dead_letters.show(case).stories]
        process.operators.histories.by_correlation_id(case)
    process.operators.completeness.account()
    process.stores.audit.counts_since(AT)


def with_case(document: dict[str, Any], number: int) -> dict[str, Any]:
    return {"_id": f"odd-{number}", "correlationId": "c-1", **document}


@pytest.mark.parametrize("document", MESSAGES, ids=str)
def test_no_incomplete_or_malformed_message_stops_a_read(document: dict[str, Any], process: Process) -> None:
    process.stores.database.messages.insert_one(with_case(document, 1))

    read_everything(process)


def test_all_malformed_messages_are_found_replayed_and_discarded(process: Process) -> None:
    process.stores.database.messages.insert_many(
        [with_case(document, number) for number, document in enumerate(MESSAGES)]
    )
    dead = [document for document in MESSAGES if document["status"] == "dead"]
    order = Order(dry_run=False, reason="odd", asked_by="test")

    found = process.operators.dead_letters.find(DeadLetterFilter(), 50)
    assert found.found == len(found.letters) == len(dead)
    assert process.operators.dead_letters.discard(DeadLetterFilter(), order).chosen == len(dead)
    assert process.operators.dead_letters.replay(DeadLetterFilter(MessageStatus.FAILED), order).chosen == 2
    read_everything(process)


@pytest.mark.parametrize(
    "case",
    [
        {"state": "requested"},
        {"state": "nonsense", "setAside": 5},
        {"state": "dispatched", "setAside": {"a": 1}, "institution": None, "deadline": "soon"},
        {"institution": ["x"]},
        {},
    ],
    ids=str,
)
def test_no_incomplete_or_malformed_case_stops_the_status(case: dict[str, Any], process: Process) -> None:
    process.stores.database.cases.insert_one({"_id": "poor", **case})

    process.operators.status.read().plain()
    process.operators.completeness.account()


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=True)
    | st.sampled_from(
        [
            "",
            "x",
            "dead",
            "[/x]",
            AT,
            Regex("a"),
            b"x",
            [],
            {},
            [1],
            {"a": 1},
            [{"code": "a.b"}],
            [[]],
            ObjectId("6b0a66580b47904605880aeb"),
        ]
    )
)
FIELDS = (
    "queue", "institution", "orgId", "env", "examSystem", "correlationId", "orderingKey", "enqueuedAt", "dueAt", "attempts",
    "generation", "errors", "steps", "origin", "replays", "replayedAt", "discardedAt", "discardedBy",
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.sampled_from(["dead", "failed", "discarded", "enqueued"]),
    fields=st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES)),
)
def test_no_message_with_any_values_stops_a_read(process: Process, status: str, fields: dict[str, Any]) -> None:
    process.stores.database.messages.delete_many({})
    process.stores.database.messages.insert_one({"_id": "odd", "status": status, **fields})

    read_everything(process)


def test_commands_and_checks_show_malformed_documents(
    process: Process, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.stores.database.messages.insert_many(
        [with_case(document, number) for number, document in enumerate(MESSAGES)]
    )
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    for words, codes in (
        (["dead", "list"], {0}),
        (["dead", "list", "--json"], {0}),
        (["dead", "show", "c-1"], {0}),
        (["dead", "replay"], {0}),
        (["dead", "discard"], {0}),
        (["status"], {4}),
        (["status", "--json"], {4}),
        (["where", "c-1"], {0}),
    ):
        result = runner.invoke(application, words)
        assert result.exit_code in codes, (words, result.output, result.exception)

    resource = resource_with(process)
    for check in (nothing_lost, oldest_pending, dead_letters, deadline_overdue):
        assert isinstance(check(resource), dg.AssetCheckResult)
