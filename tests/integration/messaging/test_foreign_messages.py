"""Messages of another program or a person, handled to the end: which cases they affect, and what is reported of them."""

from typing import Any, Final

import bson
import pytest
from typer.testing import CliRunner

from casebridge.alerts.blacklist import AFTER_THE_LAST, MOST_ROWS, Blacklist
from casebridge.correlation_id import new_correlation_id, safe_id
from casebridge.exams.explanations import answer_poller, request_intake
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from command_line.main import application
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.contract.queue.test_queue_malformed_documents import LONG_PAST
from tests.support.explanation_rounds import read_requests
from tests.support.malformed_world import PLAIN, carry
from tests.support.world import World

FOR_REAL: Final = Order(dry_run=False, reason="odd", asked_by="test")
KEYS: Final[tuple[Any, ...]] = (
    {"$ne": None}, {"$gt": ""}, {"$exists": True}, bson.Regex(""), [], {}, 5, True, None, ["x"], {"a": 1}, bson.MaxKey(),
)  # fmt: skip


@pytest.fixture
def process(world: World) -> Process:
    world.populate(**PLAIN)
    return world.process()


def message(process: Process, key: Any, **more: Any) -> dict[str, Any]:
    institution = process.stores.institutions.active()[0]
    return {
        "_id": key, "queue": request_intake.QUEUE, "status": "enqueued", "orgId": institution.org_id,
        "env": institution.env, "examSystem": institution.exam_system, "institution": institution.key,
        "orderingKey": "x", "correlationId": "c-1", "payload": {}, "enqueuedAt": LONG_PAST, "dueAt": LONG_PAST,
        "attempts": 0, "generation": 1, "fence": 0, "steps": {}, "errors": [], "effects": [], **more,
    }  # fmt: skip


@pytest.mark.parametrize("queue", [request_intake.QUEUE, answer_poller.QUEUE])
def test_no_payload_changes_a_case_of_another_student(queue: str, process: Process, world: World) -> None:
    read_requests(process, process.stores.institutions.active())
    opened = list(process.stores.database.cases.find().sort("_id", 1))
    assert len(opened) == PLAIN["requests"]
    process.stores.database.messages.delete_many({})
    payload = {"flowId": 1, "explanationRequestId": 1, "vurdId": "x", "request": {}}
    process.stores.database.messages.insert_many(
        [
            message(
                process, f"odd {number}", queue=queue, orderingKey=f"odd {number}", payload={**payload, "caseId": key}
            )
            for number, key in enumerate(KEYS)
        ]
    )
    carry(world, process)

    assert list(process.stores.database.cases.find().sort("_id", 1)) == opened
    assert process.stores.database.messages.count_documents({"status": "dead"}) == len(KEYS)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_case_is_found_by_a_text_alone(key: Any, process: Process) -> None:
    read_requests(process, process.stores.institutions.active())
    opened = list(process.stores.database.cases.find().sort("_id", 1))
    process.capability(Explanations).cases.set_aside(key, "a.code")
    process.capability(Explanations).cases.withdraw([key])
    assert process.capability(Explanations).cases.get(key) is None
    assert process.capability(Explanations).cases.by_ids([key]) == []
    assert list(process.stores.database.cases.find().sort("_id", 1)) == opened


@pytest.mark.parametrize(
    "key",
    [{"a": 1}, {"a": {"b": [1]}}, 5, bson.ObjectId("6b0a66580b47904605880aeb"), bson.Binary(b"x"), "x" * 5000],
    ids=str,
)
def test_letters_of_any_key_are_replayed_and_discarded_with_their_neighbours(key: Any, process: Process) -> None:
    def insert() -> None:
        process.stores.database.messages.delete_many({})
        process.stores.database.messages.insert_many(
            [
                message(process, each, status="dead", orderingKey=f"case {number}")
                for number, each in enumerate(("first", key, "last"))
            ]
        )

    insert()
    assert process.operators.dead_letters.replay(DeadLetterFilter(), FOR_REAL).changed == 3
    insert()
    assert process.operators.dead_letters.discard(DeadLetterFilter(), FOR_REAL).changed == 3
    assert process.operators.dead_letters.replay(DeadLetterFilter(MessageStatus.DISCARDED), FOR_REAL).changed == 3


def test_a_letter_with_a_large_text_in_a_step_is_shown(process: Process) -> None:
    """FS refused an answer of 2 MB. Its text stays in the message until it is registered."""
    step = {"at": LONG_PAST, "milliseconds": 7, "result": {"text": "x" * 2_050_000}}
    process.stores.database.messages.insert_many(
        [message(process, f"m{number}", status="dead", steps={"fetch_answer": step}) for number in range(2)]
    )
    found = process.operators.dead_letters.show("c-1")
    assert (len(found.stories), found.left_out, found.note) == (2, 0, None)
    assert [[step.name for step in story.steps_done] for story in found.stories] == [["fetch_answer"]] * 2
    assert "xxx" not in str(found)


def test_a_letter_that_is_too_large_to_be_shown_is_reported(
    process: Process, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.stores.database.messages.insert_many(
        [
            message(process, "large", status="dead", errors=[{"at": LONG_PAST, "cause": "x" * 2_050_000}]),
            message(process, "small", status="dead", enqueuedAt=LONG_PAST),
        ]
    )
    found = process.operators.dead_letters.show("c-1")
    assert (len(found.stories), found.left_out) == (1, 1)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    process.stores.database.messages.delete_one({"_id": "small"})
    done = CliRunner().invoke(application, ["dead", "show", "c-1"])
    assert done.exit_code == 0, done.output
    assert "1 more of this case" in " ".join(done.output.split())


def test_a_too_large_row_mutes_nothing_and_affects_no_other(process: Process) -> None:
    rows = process.stores.database.slack_blacklists
    rows.insert_many(
        [
            {"_id": "a", "pattern": "a.code", "reason": "x" * 3_000_000},
            {"_id": "b", "pattern": "x" * 3_000_000},
            {"_id": "c", "pattern": "c.code"},
        ]
    )
    blacklist = Blacklist(process.stores.database)
    assert [row["_id"] for row in blacklist.rows()] == ["a", "c"], "nobody needs its reason"
    assert list(process.operators.status.read().unusable_mutes) == ["b"]

    rows.insert_many([{"pattern": "d.code"} for _ in range(MOST_ROWS)])
    assert set(process.operators.status.read().unusable_mutes) == {"b", AFTER_THE_LAST}


FOREIGN: Final = (
    "Kari Nordmann",
    "kari.nordmann",
    "01019912345",
    "kari-01019912345",
    "1042",
    "x" * 9000,
    "[/x]",
    "",
    "a\nb1",
)
TOKENS: Final = (
    "c-1",
    "ID-host-1712345678901-0-1",
    "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
    new_correlation_id(LONG_PAST),
)


@pytest.mark.parametrize("foreign_id", FOREIGN)
def test_a_correlation_id_of_unknown_form_is_shown_nowhere(
    foreign_id: str, process: Process, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert safe_id(foreign_id) == "unknown"
    process.stores.database.messages.insert_many(
        [
            message(process, "by a claim", correlationId=foreign_id),
            message(process, "set aside", correlationId=foreign_id, status="weird", orderingKey="y"),
        ]
    )
    carry(world, process)
    process.relay.send_alerts()

    said = [
        str(process.operators.status.read().plain()),
        str(process.operators.dead_letters.find(DeadLetterFilter(), 50).plain()),
        str(process.operators.dead_letters.replay(DeadLetterFilter(), Order()).plain()),
        caplog.text,
        str(world.control.summary()),
    ]
    assert all(foreign_id not in each for each in said if foreign_id), said
    assert sum(process.operators.dead_letters.find(DeadLetterFilter(), 50).by_code.values()) == 2


@pytest.mark.parametrize("foreign_id", TOKENS, ids=("short", "Camel", "another GUID", "ours"))
def test_a_token_is_shown_unchanged(foreign_id: str) -> None:
    assert safe_id(foreign_id) == foreign_id


def test_a_message_without_room_for_its_error_is_dead_and_reported(process: Process, world: World) -> None:
    """The document is valid and as large as a document may be. It has no room for its error."""
    document = message(process, "full", payload={"caseId": "none", "request": {}})
    room = 16 * 1024 * 1024 - 350 - len(bson.encode({**document, "filler": ""}))
    process.stores.database.messages.insert_one({**document, "filler": "x" * room})
    carry(world, process)
    found = process.stores.database.messages.find_one({"_id": "full"}, {"status": 1})
    assert found is not None
    assert found["status"] == "dead"
    assert "casebridge.message_unwritable" in {alert["code"] for alert in process.stores.database.alerts.find()}
