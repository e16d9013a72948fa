"""What must hold at the end of a test: FS has each explanation once, the queue is empty, the audit has every step.

The simulators count what FS and WISEflow received. The audit has what casebridge says it did. The checks compare the two, for
every test that crashes, floods or starves casebridge.
"""

from collections import Counter, defaultdict
from typing import Any

from casebridge.exams.explanations import answer_poller, request_reader
from tests.support.read_only_steps import ReadOnlySteps
from tests.support.world import World

REQUEST_STEPS = ("received", "find_exam", "find_candidate", "request_explanation")
ANSWER_STEPS = ("received", "fetch_answer", "register_explanation")
SHOWN = "show_explanation"
UNCHANGED = "unchanged"


def check_registrations(world: World, requests: int) -> None:
    """FS has every explanation once, each with the text of the right student."""
    summary = world.control.summary()
    counts = {name: summary[name] for name in ("requests", "registered", "outstanding")}
    assert counts == {"requests": requests, "registered": requests, "outstanding": 0}
    mistakes = (
        "registered_twice", "registered_too_early", "wrong_text", "stale_text", "dispatched_to_wrong_participant",
    )  # fmt: skip
    assert {name: summary[name] for name in mistakes} == dict.fromkeys(mistakes, 0)


def check_queue_is_empty(world: World) -> None:
    """No message waits or is claimed, no effect is pending, and every accepted message is processed."""
    assert list(world.database.messages.find({}, {"status": 1, "errors": 1})) == []
    accepted = {row["_id"] for row in world.database.received_keys.find({}, {"_id": 1})}
    assert accepted <= {row["_id"] for row in world.database.processed_messages.find({}, {"_id": 1})}


def check_case_histories(world: World) -> None:
    """The audit has the whole history of each case under one correlation id, with each step of a message once.

    It also has the read-only steps of attempts before the last.
    """
    cases = list(world.database.cases.find())
    entries = defaultdict(list)
    recorded = world.audit()
    read_only = ReadOnlySteps(world.database.processed_messages.find(), recorded)
    assert read_only.of_failures() <= {entry["_id"] for entry in recorded}
    for entry in recorded:
        if entry["success"] and not read_only.is_of_another_attempt(entry):
            entries[entry["correlationId"]].append(entry)
    assert set(entries) >= {case["correlationId"] for case in cases}
    for case in cases:
        _check_case_history(world, case, entries[case["correlationId"]])


def _check_case_history(world: World, case: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    recorded: dict[str, Counter[str]] = {request_reader.QUEUE: Counter(), answer_poller.QUEUE: Counter()}
    for entry in entries:
        assert (entry["orgId"], entry["env"]) == (case["orgId"], case["env"])
        if entry["step"] != "replayed":
            recorded[entry["submodule"]][entry["step"]] += 1
    assert recorded[request_reader.QUEUE] == Counter(REQUEST_STEPS), "the way there, once"
    answered = Counter((*ANSWER_STEPS, SHOWN) if _is_shown(world, case) else ANSWER_STEPS)
    for _ in range(_unchanged_answers(entries)):
        answered += Counter(("received", "fetch_answer"))
    assert recorded[answer_poller.QUEUE] == answered, "the way back, once"


def _unchanged_answers(entries: list[dict[str, Any]]) -> int:
    """How many answers were read again because their dates had changed, and had the same text."""
    return sum(entry["detail"].get("outcome") == UNCHANGED for entry in entries)


def _is_shown(world: World, case: dict[str, Any]) -> bool:
    org = world.database.orgs.find_one({"orgId": case["orgId"]})
    return bool(org and org["wiseflow"]["showJustification"])


def check_everything(world: World, requests: int) -> None:
    check_registrations(world, requests)
    check_queue_is_empty(world)
    check_case_histories(world)
