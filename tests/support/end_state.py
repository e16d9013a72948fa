"""What must hold at the end: FS has each explanation once, the queue is empty, the audit tells every step.

What FS and WISEflow saw is counted by the simulators; what we claim to have done is in the audit. Both are held against each
other here, for every test that crashes, floods or starves casebridge.
"""

from collections import Counter, defaultdict
from typing import Any

from casebridge.exams.explanations import answer_poller, request_reader
from tests.support.read_only_steps import Looks
from tests.support.world import World

REQUEST_STEPS = ("received", "find_exam", "find_candidate", "request_explanation")
ANSWER_STEPS = ("received", "fetch_answer", "register_explanation")
SHOWN = "show_explanation"
UNCHANGED = "unchanged"


def check_registrations(world: World, requests: int) -> None:
    """FS holds every explanation once, with the right text, and nobody else's."""
    summary = world.control.summary()
    counts = {name: summary[name] for name in ("requests", "registered", "outstanding")}
    assert counts == {"requests": requests, "registered": requests, "outstanding": 0}
    mistakes = (
        "registered_twice", "registered_too_early", "wrong_text", "stale_text", "dispatched_to_wrong_participant",
    )  # fmt: skip
    assert {name: summary[name] for name in mistakes} == dict.fromkeys(mistakes, 0)


def check_queue_is_empty(world: World) -> None:
    """Nothing waits, nothing is held, nothing is owed; whatever was accepted is among what was processed."""
    assert list(world.database.messages.find({}, {"status": 1, "errors": 1})) == []
    accepted = {row["_id"] for row in world.database.received_keys.find({}, {"_id": 1})}
    assert accepted <= {row["_id"] for row in world.database.processed_messages.find({}, {"_id": 1})}


def check_case_histories(world: World) -> None:
    """The audit tells the whole history of each case under one correlation id, each step of a message once.

    It also tells what attempts before the last had looked up.
    """
    cases = list(world.database.cases.find())
    entries = defaultdict(list)
    told = world.audit()
    looks = Looks(world.database.processed_messages.find(), told)
    assert looks.of_failures() <= {entry["_id"] for entry in told}
    for entry in told:
        if entry["success"] and not looks.is_of_another_attempt(entry):
            entries[entry["correlationId"]].append(entry)
    assert set(entries) >= {case["correlationId"] for case in cases}
    for case in cases:
        _check_case_history(world, case, entries[case["correlationId"]])


def _check_case_history(world: World, case: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    told: dict[str, Counter[str]] = {request_reader.QUEUE: Counter(), answer_poller.QUEUE: Counter()}
    for entry in entries:
        assert (entry["orgId"], entry["env"]) == (case["orgId"], case["env"])
        if entry["step"] != "replayed":
            told[entry["submodule"]][entry["step"]] += 1
    assert told[request_reader.QUEUE] == Counter(REQUEST_STEPS), "the way there, once"
    answered = Counter((*ANSWER_STEPS, SHOWN) if _is_shown(world, case) else ANSWER_STEPS)
    for _ in range(_unchanged_answers(entries)):
        answered += Counter(("received", "fetch_answer"))
    assert told[answer_poller.QUEUE] == answered, "the way back, once"


def _unchanged_answers(entries: list[dict[str, Any]]) -> int:
    """Answers that were looked at again, because their dates had changed, and found to be the same text."""
    return sum(entry["detail"].get("outcome") == UNCHANGED for entry in entries)


def _is_shown(world: World, case: dict[str, Any]) -> bool:
    org = world.database.orgs.find_one({"orgId": case["orgId"]})
    return bool(org and org["wiseflow"]["showJustification"])


def check_everything(world: World, requests: int) -> None:
    check_registrations(world, requests)
    check_queue_is_empty(world)
    check_case_histories(world)
