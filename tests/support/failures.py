"""What must hold after a failure: the audit says what a person can do, an alert says the same, and nothing is lost."""

from typing import Any

from casebridge.messaging.queue.message import MessageStatus
from tests.support.world import World

SHORTEST_SENTENCE = 20


def reported_failures(world: World, code: str, **selection: Any) -> list[dict[str, Any]]:
    """The audit's entries on failures with this code. Each must name a cause and a next action."""
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


def check_set_aside(world: World, code: str, step: str, messages: int = 1) -> None:
    """This many messages are dead with this code. Each is in the audit and in an alert, with the same next action."""
    dead = [message for message in dead_messages(world) if message["errors"][-1]["code"] == code]
    assert len(dead) == messages, [message["errors"] for message in dead_messages(world)]
    for message in dead:
        failure = message["errors"][-1]
        entry = reported_failures(world, code, correlationId=message["correlationId"])[-1]
        assert entry["step"] == failure["step"] == step
        assert entry["errorMessage"] == f"{failure['cause']} {failure['nextAction']}"
        alert = world.database.alerts.find_one({"institution": message["institution"], "code": code, "setAside": True})
        assert alert is not None
        assert message["correlationId"] in alert["correlationIds"]
        assert (alert["step"], alert["nextAction"]) == (step, failure["nextAction"])


def check_nothing_is_lost(world: World) -> None:
    """Each row of FS is registered, or has a dead message that a person sees."""
    summary = world.control.summary()
    assert summary["requests"] == summary["registered"] + len(dead_messages(world))
    assert summary["wrong_text"] == summary["registered_twice"] == 0
