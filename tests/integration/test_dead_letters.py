"""Dead letters in one place: found, shown, replayed and discarded, by the classes and by the real command."""

import getpass
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.audit.log import AuditLog
from casebridge.exams.cases import Cases
from casebridge.messaging.interventions import BROUGHT_BACK_WITHIN, KEPT_REPLAYS
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import BATCH, NAMED, DeadLetters, Order
from resources.bridge import Bridge
from tests.manual_clock import ManualClock
from tests.processes import Crash, Processes
from tests.round_trips import counted
from tests.world import World

DONE, MISUSED, NOT_FOUND = 0, 2, 3
REASON = "corrected in WISEflow"
FOR_REAL = Order(dry_run=False, reason=REASON, asked_by="kari")
DISCARDED = DeadLetterFilter(MessageStatus.DISCARDED)
MISSING = "wiseflow.participant_missing"
AMBIGUOUS = "wiseflow.flow_ambiguous"
KILLED = -9
T0 = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)

Document = dict[str, Any]


@pytest.fixture
def letters(world: World) -> DeadLetters:
    """On a database without institutions: what stands in it, a test has written."""
    clock = ManualClock()
    queue = MeldingQ(world.database, clock, timedelta(seconds=60))
    return DeadLetters(world.database, queue, Cases(world.database, clock, 14), AuditLog(world.database), clock)


def dead(number: int, *codes: str, **changed: Any) -> Document:
    """A dead message; of its errors, the last came `number` minutes after `T0`."""
    errors = [
        {
            "at": T0 + timedelta(minutes=number - len(codes) + place),
            "attempt": place,
            "step": "find_candidate",
            "category": "transient",
            "code": code,
            "cause": "It failed.",
            "nextAction": "Look at it.",
        }
        for place, code in enumerate(codes, 1)
    ]
    return {
        "_id": f"key-{number:05}",
        "queue": "wiseflow-begrunnelse",
        "status": "dead",
        "orgId": "uis.no",
        "env": "test",
        "institution": "uis.no/test",
        "examSystem": "WISEFLOW",
        "orderingKey": f"case-{number}",
        "correlationId": f"correlation-{number}",
        "payload": {"kandidatnr": 4711},
        "enqueuedAt": T0 + timedelta(minutes=number),
        "attempts": len(codes),
        "generation": 1,
        "fence": 1,
        "steps": {},
        "errors": errors,
        "effects": [],
        **changed,
    }


def letter_of(bridge: Bridge, code: str) -> Document:
    (message,) = bridge.database.messages.find({"errors.code": code})
    return message


def case_of(bridge: Bridge, message: Document) -> Document:
    case = bridge.database.cases.find_one({"_id": message["orderingKey"]})
    assert case is not None
    return case


# Find


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3]),
        ({"code": "a.last"}, [1, 3]),
        ({"code": "b.last"}, [2]),
        ({"code": "unknown"}, []),
        ({"queue": "wiseflow-begrunnelse-svar"}, [3]),
        ({"institution": "uib.no/prod"}, [2]),
        ({"correlation_id": "correlation-1"}, [1]),
        ({"since": T0 + timedelta(minutes=2)}, [2, 3]),
        ({"before": T0 + timedelta(minutes=2)}, [1]),
        ({"since": T0 + timedelta(minutes=2), "before": T0 + timedelta(minutes=3)}, [2]),
        ({"code": "a.last", "since": T0 + timedelta(minutes=2)}, [3]),
        ({"status": MessageStatus.FAILED}, [4]),
        ({"status": MessageStatus.DISCARDED}, []),
    ],
    ids=str,
)
def test_a_filter_chooses_by_the_last_error(
    wanted: Document, found: list[int], world: World, letters: DeadLetters
) -> None:
    world.database.messages.insert_many(
        [
            dead(3, "a.last", queue="wiseflow-begrunnelse-svar"),
            dead(2, "a.last", "b.last", institution="uib.no/prod"),
            dead(1, "b.last", "a.last"),
            dead(4, "a.last", status="failed"),
            dead(5, "a.last", status="processing"),
        ]
    )

    listing = letters.find(DeadLetterFilter(**wanted), 100)

    assert [letter.correlation_id for letter in listing.letters] == [f"correlation-{number}" for number in found]
    assert listing.found == sum(listing.by_code.values()) == len(found)


def test_a_list_is_cut_off_and_counts_all(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(number, "a.last") for number in range(30)])

    listing = letters.find(DeadLetterFilter(), 20)

    assert [letter.correlation_id for letter in listing.letters] == [f"correlation-{number}" for number in range(20)]
    assert (listing.found, listing.by_code) == (30, {"a.last": 30})


def test_only_what_waits_or_is_discarded_can_be_chosen() -> None:
    for status in (MessageStatus.ENQUEUED, MessageStatus.PROCESSING, MessageStatus.PROCESSED):
        with pytest.raises(ValueError, match="only dead, failed or discarded"):
            DeadLetterFilter(status)


def test_documents_of_the_first_release_are_found_shown_and_replayed(world: World, letters: DeadLetters) -> None:
    """They lack what came later; one was replayed then, and one is as poor as a document can be."""
    replayed = dead(1, MISSING, replayedAt=T0, replayedBy="ola", replayReason="before the upgrade", generation=2)
    poor = {"_id": "poor", "status": "dead"}
    world.database.messages.insert_many([replayed, poor])

    listing = letters.find(DeadLetterFilter(), 10)
    assert listing.by_code == {MISSING: 1, "unknown": 1}
    assert letters.find(DeadLetterFilter(code="unknown"), 10).found == 1
    (story,) = letters.show("correlation-1")
    assert [(word.at, word.by, word.reason) for word in story.replayed] == [(T0, "ola", "before the upgrade")]

    assert letters.replay(DeadLetterFilter(), FOR_REAL).changed == 2
    assert {row["_id"]: row["generation"] for row in world.database.messages.find()} == {"poor": 2, "key-00001": 3}
    world.database.messages.update_many({}, {"$set": {"status": "dead"}})
    (story,) = letters.show("correlation-1")
    assert [(word.by, story.letter.replays) for word in story.replayed] == [("ola", 2), ("kari", 2)]


# Show


def test_a_letter_is_shown_with_all_that_an_operator_needs_and_nothing_personal(
    world: World, letters: DeadLetters
) -> None:
    step = {"at": T0, "fence": 1, "milliseconds": 41, "result": {"text": "secret-result"}, "last": False}
    origin = {"topic": "begrunnelser", "partition": 2, "offset": 1041, "value": "secret-value", "key": "secret-key"}
    world.database.messages.insert_one(
        dead(
            7,
            "wiseflow.http_503",
            MISSING,
            steps={"find_exam": step},
            origin=origin,
            payload={"text": "secret-payload"},
            effects=[{"id": "1", "kind": "alert", "body": {"text": "secret-effect"}}],
        )
    )

    (story,) = letters.show("correlation-7")

    assert story.origin == {"topic": "begrunnelser", "partition": 2, "offset": 1041}
    assert (story.letter.came_by, story.letter.step, story.letter.code) == ("kafka", "find_candidate", MISSING)
    assert [(error.attempt, error.code) for error in story.errors] == [(1, "wiseflow.http_503"), (2, MISSING)]
    assert [(done.name, done.milliseconds) for done in story.steps_done] == [("find_exam", 41)]
    told = f"{story.plain()} {letters.find(DeadLetterFilter(), 10).plain()}"
    assert "secret" not in told
    assert "key-00007" not in told, "a message's key is a fingerprint of a person's data"
    assert letters.show("correlation-7", "wiseflow-begrunnelse-svar") == []


# Replay


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_shows_and_changes_nothing(action: str, world: World, mixed: Bridge) -> None:
    before = [list(collection.find()) for collection in (world.database.messages, world.database.cases)]

    report = getattr(mixed.dead_letters, action)(DeadLetterFilter(), Order(limit=1))

    assert (report.found, report.chosen, report.changed, report.dry_run) == (2, 1, 0, True)
    assert report.by_code == {MISSING: 1, AMBIGUOUS: 1}
    assert len(report.correlation_ids) == 1
    assert [list(collection.find()) for collection in (world.database.messages, world.database.cases)] == before
    assert not world.audit(step={"$in": ["replayed", "discarded"]})


@pytest.mark.parametrize("said", [{}, {"reason": REASON}, {"asked_by": "kari"}, {"reason": " ", "asked_by": "kari"}])
def test_for_real_it_wants_a_reason_and_a_name(said: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="say why and who asks"):
        Order(dry_run=False, **said)


def test_a_replay_goes_on_at_the_step_that_failed_and_is_audited(world: World, mixed: Bridge) -> None:
    case = case_of(mixed, letter_of(mixed, MISSING))
    searches = world.control.summary()["calls_by_route"]["wiseflow POST /sources/search"]
    wanted = DeadLetterFilter(correlation_id=case["correlationId"])

    report = mixed.dead_letters.replay(wanted, FOR_REAL)
    again = mixed.dead_letters.replay(wanted, FOR_REAL)
    assert (report.changed, again.found) == (1, 0)
    mixed.synchronisation.run_batch()

    (entry,) = world.audit(step="replayed")
    assert entry["correlationId"] == case["correlationId"]
    assert entry["detail"] == {"reason": REASON, "askedBy": "kari"}
    message = letter_of(mixed, MISSING)
    assert (message["status"], message["generation"], message["attempts"]) == ("dead", 2, 1)
    assert world.control.summary()["calls_by_route"]["wiseflow POST /sources/search"] == searches, "found before"
    assert len(world.audit(correlationId=case["correlationId"], step="find_exam", success=True)) == 1
    assert len(world.audit(correlationId=case["correlationId"], success=False)) == 2
    (story,) = mixed.dead_letters.show(case["correlationId"])
    assert [(word.by, word.reason) for word in story.replayed] == [("kari", REASON)]
    assert (story.letter.replays, len(story.errors)) == (1, 2)


def test_what_died_again_meanwhile_is_left_to_whoever_looks_at_it_anew(world: World, letters: DeadLetters) -> None:
    """Two operators chose the same letter; when the slower one's word arrives, it was begun anew and has died again."""
    world.database.messages.insert_one(dead(1, MISSING))
    queue = MeldingQ(world.database, ManualClock(), timedelta(seconds=60))
    words = {"reason": REASON, "asked_by": "kari"}
    assert queue.replay({"key-00001": 1}, from_status=MessageStatus.DEAD, **words) == 1
    world.database.messages.update_one({}, {"$set": {"status": "dead"}})

    assert queue.replay({"key-00001": 1}, from_status=MessageStatus.DEAD, **words) == 0
    assert queue.discard({"key-00001": 1}, **words) == 0
    assert queue.discard({"key-00001": 2}, **words) == 1
    assert queue.discard({"key-00001": 2}, **words) == 0


def test_the_history_of_replays_is_bounded_and_their_number_is_not(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_one(dead(1, MISSING))
    times = KEPT_REPLAYS + 2
    for number in range(times):
        order = Order(dry_run=False, reason=f"the {number}th time", asked_by="kari")
        assert letters.replay(DeadLetterFilter(), order).changed == 1
        world.database.messages.update_one({}, {"$set": {"status": "dead"}})

    (story,) = letters.show("correlation-1")

    assert story.letter.replays == times
    assert [word.reason for word in story.replayed] == [f"the {number}th time" for number in range(2, times)]
    assert len(world.audit(step="replayed")) == times


def test_a_case_s_messages_keep_their_order(world: World, letters: DeadLetters) -> None:
    """Two versions of one request are dead; replayed together, the older one goes first."""
    world.database.messages.insert_many([dead(2, MISSING, orderingKey="one"), dead(1, MISSING, orderingKey="one")])
    assert letters.replay(DeadLetterFilter(), FOR_REAL).changed == 2

    queue = MeldingQ(world.database, ManualClock(), timedelta(seconds=60))

    assert [message.key for message in queue.claim("a worker", 10)] == ["key-00001"]


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("kind", ["kill", "exception"])
def test_a_process_that_dies_between_audit_and_change_leaves_it_to_be_done_again(
    action: str, kind: str, mixed: Bridge, world: World, processes: Processes
) -> None:
    asked = ("dead", action, "--for-real", "--reason", REASON, "--asked-by", "kari")
    died = processes.run(*asked, crash=Crash("audit_written", kind=kind))
    assert died.exit_code == (KILLED if kind == "kill" else 1)
    assert mixed.dead_letters.find(DeadLetterFilter(), 10).found == 2, "nothing has taken effect"

    done = {"replay": "replayed", "discard": "discarded"}[action]
    assert [entry["detail"]["askedBy"] for entry in world.audit(step=done)] == ["kari", "kari"]
    assert processes.run(*asked, "--json").json()["changed"] == 2
    assert len(world.audit(step=done)) == 2, "told once, however often it was tried on the same word"
    assert processes.run(*asked).exit_code == NOT_FOUND


def test_a_case_that_was_marked_before_a_crash_is_put_right_by_the_next_word(world: World, mixed: Bridge) -> None:
    """The case is marked first: until the message follows, it stays in the list and accounts for the case."""
    world.database.cases.update_many({}, {"$set": {"openedAt": T0}})
    message = letter_of(mixed, MISSING)
    mixed.cases.discard([message["orderingKey"]], by="kari", reason=REASON)

    assert mixed.dead_letters.find(DeadLetterFilter(code=MISSING), 10).found == 1
    assert mixed.accounting.account().unaccounted == ()
    assert mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL).changed == 1
    mixed.cases.bring_back([message["orderingKey"]], MISSING)

    assert mixed.accounting.account().unaccounted == ()
    assert mixed.dead_letters.replay(DISCARDED, FOR_REAL).changed == 1
    assert case_of(mixed, message)["setAside"] == MISSING


def test_another_s_word_after_a_crash_is_audited_too(mixed: Bridge, world: World, processes: Processes) -> None:
    asked = ("dead", "replay", "--code", MISSING, "--for-real", "--reason", REASON, "--asked-by")
    processes.run(*asked, "kari", crash=Crash("audit_written"))

    assert processes.run(*asked, "ola").exit_code == DONE

    assert {entry["detail"]["askedBy"] for entry in world.audit(step="replayed")} == {"kari", "ola"}


# Discard


def test_what_is_discarded_is_gone_from_the_queue_and_told_everywhere(world: World, mixed: Bridge) -> None:
    message = letter_of(mixed, MISSING)
    report = mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)
    again = mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    assert (report.changed, again.found) == (1, 0)
    (entry,) = world.audit(step="discarded")
    assert (entry["correlationId"], entry["detail"]) == (
        message["correlationId"],
        {"reason": REASON, "askedBy": "kari"},
    )
    status = mixed.status.read()
    assert (status.dead, status.pending, status.set_aside) == (1, 0, {AMBIGUOUS: 1})
    assert [(row.set_aside, row.discarded) for row in status.institutions if row.dead] == [(1, 1)]
    road = mixed.roads.by_correlation_id(message["correlationId"])
    assert road is not None
    assert road.discarded is not None
    assert (road.discarded.by, road.discarded.reason) == ("kari", REASON)
    assert (road.state, road.set_aside, road.next_action) == ("requested", None, None)
    assert road.milestones[-1].step == "discarded"
    (story,) = mixed.dead_letters.show(message["correlationId"])
    assert story.discarded is not None
    assert (story.letter.status, story.discarded.by, story.discarded.reason) == ("discarded", "kari", REASON)
    assert mixed.synchronisation.run_batch().handled == 0


def test_nothing_is_lost_by_a_discard(world: World, mixed: Bridge) -> None:
    world.database.cases.update_many({}, {"$set": {"openedAt": T0}})
    mixed.dead_letters.discard(DeadLetterFilter(), FOR_REAL)
    assert mixed.accounting.account().unaccounted == ()

    world.database.messages.update_many({}, {"$set": {"discardedAt": T0}})
    mixed.dead_letters.discard(DeadLetterFilter(), FOR_REAL)

    assert world.database.messages.count_documents({}) == 0, "moved on: they cannot be brought back any more"
    assert world.database.processed_messages.count_documents({"status": "discarded"}) == 2
    assert mixed.accounting.account().unaccounted == ()
    world.database.cases.update_many({"setAside": "discarded"}, {"$set": {"setAside": None}})
    assert len(mixed.accounting.account().unaccounted) == 2, "the mark on the case is what accounts for them"


def test_what_a_discarded_message_owes_is_delivered_before_it_moves_on(world: World, letters: DeadLetters) -> None:
    owing = {"effectsDueAt": T0, "effects": [{"id": "1", "kind": "alert", "body": {}}]}
    world.database.messages.insert_many([dead(1, MISSING, **owing), dead(2, MISSING)])
    letters.discard(DeadLetterFilter(), FOR_REAL)
    long_ago = T0 - BROUGHT_BACK_WITHIN - timedelta(days=2)
    world.database.messages.update_many({}, {"$set": {"discardedAt": long_ago}})

    letters.discard(DeadLetterFilter(), FOR_REAL)

    assert [row["_id"] for row in world.database.messages.find()] == ["key-00001"]


def test_an_older_discard_cannot_be_brought_back(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(1, MISSING), dead(2, MISSING)])
    letters.discard(DeadLetterFilter(), FOR_REAL)
    too_long_ago = T0 - BROUGHT_BACK_WITHIN - timedelta(seconds=1)
    world.database.messages.update_one({"_id": "key-00001"}, {"$set": {"discardedAt": too_long_ago}})

    report = letters.replay(DISCARDED, FOR_REAL)

    assert (report.found, report.changed) == (2, 1)


def test_what_was_discarded_by_mistake_is_brought_back(world: World, mixed: Bridge) -> None:
    message = letter_of(mixed, MISSING)
    mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    report = mixed.dead_letters.replay(DISCARDED, FOR_REAL)

    assert report.changed == 1
    assert case_of(mixed, message)["setAside"] == MISSING, "until it has got further"
    assert mixed.synchronisation.run_batch().by_code == {MISSING: 1}
    again = letter_of(mixed, MISSING)
    assert (again["status"], again["generation"], "discardedAt" in again) == ("dead", 2, False)
    assert mixed.roads.by_correlation_id(message["correlationId"]).discarded is None  # type: ignore[union-attr]


def test_a_request_that_fs_changes_after_a_discard_comes_as_a_new_message(world: World, mixed: Bridge) -> None:
    message = letter_of(mixed, MISSING)
    mixed.dead_letters.discard(DeadLetterFilter(), FOR_REAL)
    request = message["payload"]["request"]
    asked = (request["examId"], request["kandidatnr"])
    (row,) = (row for row in world.control.cases() if (row["examId"], row["kandidatnr"]) == asked)
    world.control.change(row["caseId"], frist="2030-01-04")

    assert world.send(mixed) == 1

    messages = world.database.messages.find({"orderingKey": message["orderingKey"]})
    assert sorted(found["status"] for found in messages) == ["dead", "discarded"], "it was tried at once, not held back"
    case = case_of(mixed, message)
    assert case["setAside"] == MISSING
    assert mixed.roads.by_correlation_id(message["correlationId"]).discarded is None  # type: ignore[union-attr]


@pytest.mark.parametrize("other", ["dead", "failed", "enqueued", "processing"])
def test_a_case_is_discarded_only_with_the_last_message_that_drives_it(other: str, world: World, mixed: Bridge) -> None:
    message = letter_of(mixed, MISSING)
    world.database.messages.insert_one({**message, "_id": "another version", "status": other, "errors": []})

    assert mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL).changed == 1

    assert case_of(mixed, message)["setAside"] == MISSING
    world.database.messages.update_one({"_id": "another version"}, {"$set": {"status": "dead"}})
    assert mixed.dead_letters.discard(DeadLetterFilter(code="unknown"), FOR_REAL).changed == 1
    assert case_of(mixed, message)["setAside"] == "discarded"


def test_a_case_that_got_further_is_not_discarded(world: World, mixed: Bridge) -> None:
    """A newer version of the request has reached the assessor; only the old version's message is settled."""
    message = letter_of(mixed, MISSING)
    further = {"state": "dispatched", "setAside": None}
    world.database.cases.update_one({"_id": message["orderingKey"]}, {"$set": further})

    mixed.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    assert {name: case_of(mixed, message)[name] for name in further} == further


def test_only_what_is_dead_can_be_discarded(letters: DeadLetters) -> None:
    with pytest.raises(ValueError, match="only dead messages can be discarded"):
        letters.discard(DeadLetterFilter(MessageStatus.FAILED), FOR_REAL)


# Many


def ask_list(letters: DeadLetters) -> int:
    return letters.find(DeadLetterFilter(code=MISSING), 20).found


def dry_run(letters: DeadLetters) -> int:
    return letters.replay(DeadLetterFilter(), Order(limit=2000)).chosen


def replay(letters: DeadLetters) -> int:
    return letters.replay(DeadLetterFilter(), Order(2000, False, REASON, "kari")).changed


def discard(letters: DeadLetters) -> int:
    return letters.discard(DeadLetterFilter(), Order(2000, False, REASON, "kari")).changed


BATCHES = 2000 // BATCH


@pytest.mark.parametrize(
    ("ask", "commands"),
    [
        # Counted by code, and twenty rows.
        (ask_list, {"aggregate": 2}),
        (dry_run, {"aggregate": 2}),
        # For each batch: read, audited, changed; half of them were replayed before, and each generation is a change of its own.
        # Then whoever serves their lanes is woken.
        (
            replay,
            {"aggregate": 2, "getMore": BATCHES, "insert": BATCHES, "find": BATCHES, "update": 3 * BATCHES},
        ),
        # For each batch also: what else drives these cases, and their mark; at the end, what can move on.
        (
            discard,
            {"aggregate": 2, "getMore": BATCHES, "find": BATCHES + 1, "insert": BATCHES, "update": 3 * BATCHES},
        ),
    ],
)
def test_two_thousand_letters_cost_a_few_round_trips(
    ask: Callable[[DeadLetters], int], commands: dict[str, int], world: World, letters: DeadLetters
) -> None:
    world.database.messages.insert_many([dead(number, MISSING, generation=1 + number % 2) for number in range(2000)])

    with counted() as sent:
        assert ask(letters) == 2000

    assert set(sent) <= set(commands)
    assert {name: count for name, count in sent.items() if count > commands[name]} == {}


def test_progress_is_told_after_each_batch_and_few_cases_are_named(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(number, MISSING) for number in range(BATCH + 10)])
    told: list[tuple[int, int]] = []

    report = letters.replay(
        DeadLetterFilter(), Order(BATCH + 5, False, REASON, "kari"), lambda done, of: told.append((done, of))
    )

    assert told == [(BATCH, BATCH + 5), (BATCH + 5, BATCH + 5)]
    assert (report.found, report.chosen, report.changed) == (BATCH + 10, BATCH + 5, BATCH + 5)
    assert report.correlation_ids == [f"correlation-{number}" for number in range(NAMED)]
    assert letters.find(DeadLetterFilter(), 10).found == 5


# The command


def test_the_command_lists_and_shows(mixed: Bridge, processes: Processes) -> None:
    listed = processes.run("dead", "list", "--json", "--since", "1h", "--limit", "1")
    assert (listed.exit_code, listed.json()["found"], len(listed.json()["letters"])) == (DONE, 2, 1)
    case = listed.json()["letters"][0]["correlation_id"]
    assert case in processes.run("dead", "list").output
    assert processes.run("dead", "list", "--before", "1h").exit_code == NOT_FOUND
    for misused in (("--since", "yesterday"), ("--status", "processing"), ("--limit", "0")):
        assert processes.run("dead", "list", *misused).exit_code == MISUSED

    (story,) = processes.run("dead", "show", case, "--json").json()
    assert (story["letter"]["correlation_id"], len(story["errors"])) == (case, 1)
    shown = processes.run("dead", "show", case)
    assert (shown.exit_code, shown.notes) == (DONE, "")
    assert f"casebridge dead replay --case {case}" in shown.output
    assert processes.run("dead", "show", "nobody").exit_code == NOT_FOUND


def test_the_replay_command_shows_first_and_asks_for_a_reason(
    world: World, mixed: Bridge, processes: Processes
) -> None:
    dry = processes.run("dead", "replay", "--json")
    assert (dry.exit_code, dry.json()["found"], dry.json()["changed"]) == (DONE, 2, 0)
    assert processes.run("dead", "replay", "--for-real").exit_code == MISUSED
    assert processes.run("dead", "replay", "--for-real", "--reason", "x", "--asked-by", "").exit_code == MISUSED
    assert processes.run("dead", "replay", "--code", "fs.refused").exit_code == NOT_FOUND
    assert not world.audit(step="replayed")

    chosen = ("--code", AMBIGUOUS, "--institution", letter_of(mixed, AMBIGUOUS)["institution"])
    real = processes.run("dead", "replay", "--for-real", "--reason", REASON, *chosen, "--json")

    assert (real.exit_code, real.json()["changed"]) == (DONE, 1)
    (entry,) = world.audit(step="replayed")
    assert entry["detail"] == {"reason": REASON, "askedBy": getpass.getuser()}
    assert world.database.messages.count_documents({"status": MessageStatus.ENQUEUED.value}) == 1


def test_the_discard_command_can_be_taken_back(mixed: Bridge, processes: Processes) -> None:
    dry = processes.run("dead", "discard", "--code", MISSING)
    assert (dry.exit_code, "1 would be discarded" in dry.output) == (DONE, True)
    real = processes.run("dead", "discard", "--code", MISSING, "--for-real", "--reason", REASON, "--asked-by", "kari")
    assert (real.exit_code, "1 discarded" in real.output) == (DONE, True)
    case = letter_of(mixed, MISSING)["correlationId"]
    assert f": {REASON}" in processes.run("where", case).output
    assert "Discarded by kari" in processes.run("dead", "show", case).output

    back = processes.run("dead", "replay", "--status", "discarded", "--for-real", "--reason", "a mistake", "--json")

    assert (back.exit_code, back.json()["changed"]) == (DONE, 1)
    assert letter_of(mixed, MISSING)["status"] == MessageStatus.ENQUEUED
