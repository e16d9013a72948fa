"""Steps that change nothing outside. Each attempt runs them again, so a message keeps only those of its last attempt.

The audit entries of these steps are compared with the failures of their message. A failed attempt must have made all read-only
steps before the step at which it failed, and no others. The id of an entry says after the message's key where it belongs.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from casebridge.messaging.audit_entries import entry_id

READ_ONLY_STEPS_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "find_candidate": ("find_exam",),
    "request_explanation": ("find_exam", "find_candidate"),
}
"""For each step, the read-only steps between it and the last step before it that changed something."""
READ_ONLY_STEPS: Final = frozenset(step for steps in READ_ONLY_STEPS_BEFORE.values() for step in steps)
BETWEEN_STEPS: Final = "handle"
"""The step of a failure between two steps. It does not say which steps were made before."""
NOT_BEGUN: Final = "casebridge.worker_lost"
"""The code of a message that was given up because its workers were lost. Its last attempt made no step."""


def step_entry(message: Mapping[str, Any], step: str, fence: int) -> str:
    """The id of a step's entry. For a read-only step it has the fence of the claim, from the second claim on."""
    again = step in READ_ONLY_STEPS and fence > 1
    return entry_id(message["correlationId"], message["_id"], step, *([fence] if again else []))


class ReadOnlySteps:
    """The audit entries that failed attempts must have, and those that attempts before the last may have, of all messages."""

    def __init__(self, messages: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]]) -> None:
        self._messages = {message["_id"]: message for message in messages}
        self._failed_at: dict[tuple[str, int], str] = {}
        """The step at which a claim of a message failed, by the message's key and the claim's fence."""
        self._begun: set[tuple[str, int]] = set()
        for entry in entries:
            _, key, *place = entry["_id"].split(":") if not entry["success"] else ("", "")
            if place[-1:] == ["failed"]:
                self._failed_at[key, int(place[0])] = entry["step"]
                if entry["code"] != NOT_BEGUN:
                    self._begun.add((key, int(place[0])))

    def of_failures(self) -> set[str]:
        """The read-only entries that must exist because of the failures in the audit. The failure is written last."""
        return {
            step_entry(self._messages[key], step, fence)
            for key, fence in self._begun
            if key in self._messages
            for step in READ_ONLY_STEPS_BEFORE.get(self._failed_at[key, fence], ())
        }

    def is_of_another_attempt(self, entry: Mapping[str, Any]) -> bool:
        """Whether the step was made in another claim than the one that settled the message. Then the message need not have it."""
        if entry["step"] not in READ_ONLY_STEPS:
            return False
        _, key, *place = entry["_id"].split(":")
        message = self._messages.get(key)
        if message is None:
            return False
        fence, settled = int(place[1]) if len(place) > 1 else 1, message["settledFence"]
        if entry["_id"] != step_entry(message, entry["step"], fence):
            return False
        if fence > settled:
            # the settlement was under way when the lease ended, and arrived while the next worker ran read-only steps
            return bool(entry["time"] > message["finishedAt"])
        failed_at = self._failed_at.get((key, fence))
        if failed_at is None:
            return fence < settled  # its worker was lost between the audit and the settlement
        return failed_at == BETWEEN_STEPS or entry["step"] in READ_ONLY_STEPS_BEFORE.get(failed_at, ())
