"""What must be there whenever something failed: a sentence in the audit that a person can act on, and nobody else hurt."""

from typing import Any

from casebridge.messaging.queue.message import MessageStatus
from tests.support.world import World

SHORTEST_SENTENCE = 20


def told_failures(world: World, code: str, **selection: Any) -> list[dict[str, Any]]:
    """The audit's entries on a failure with this code; each names cause and next action."""
    entries = world.audit(success=False, code=code, **selection)
    for entry in entries:
        assert entry["correlationId"]
        assert entry["submodule"]
        assert entry["step"]
        sentences = [sentence for sentence in entry["errorMessage"].split(". ") if sentence]
        assert len(sentences) >= 2, f"a cause and a next action: {entry['errorMessage']}"
        assert len(entry["errorMessage"]) > 2 * SHORTEST_SENTENCE
    return entries


def dead_messages(world: World) -> list[dict[str, Any]]:
    return list(world.database.messages.find({"status": MessageStatus.DEAD.value}))


def check_told(world: World, code: str, step: str, messages: int = 1) -> None:
    """So many messages are dead for this cause: in sight, audited, with an alert that says the same."""
    dead = [message for message in dead_messages(world) if message["errors"][-1]["code"] == code]
    assert len(dead) == messages, [message["errors"] for message in dead_messages(world)]
    for message in dead:
        failure = message["errors"][-1]
        entry = told_failures(world, code, correlationId=message["correlationId"])[-1]
        assert entry["step"] == failure["step"] == step
        assert entry["errorMessage"] == f"{failure['cause']} {failure['nextAction']}"
        alert = world.database.alerts.find_one({"institution": message["institution"], "code": code, "setAside": True})
        assert alert is not None
        assert message["correlationId"] in alert["correlationIds"]
        assert (alert["step"], alert["nextAction"]) == (step, failure["nextAction"])


def check_nothing_is_lost(world: World) -> None:
    """Each row that FS shows is a case that is done, or a message that a person sees."""
    summary = world.control.summary()
    assert summary["requests"] == summary["registered"] + len(dead_messages(world))
    assert summary["wrong_text"] == summary["registered_twice"] == 0
