"""The labels of every metric: institution, queue, system and code.

Names that came from outside are told only if they are configured.
"""

from typing import Final

from casebridge.defect import log_defect
from casebridge.messaging.queue.message import UNKNOWN
from casebridge.safe_names import SafeNames

Labels = tuple[tuple[str, str], ...]

MOST_NAMES: Final = 5000
"""Names that are remembered; more are asked for each time."""


class SafeLabels:
    """Builds labels. Never raises: with the database away, a name that was not seen before is `unknown`. Thread-safe."""

    def __init__(self, names: SafeNames) -> None:
        self._names = names
        self._known: dict[tuple[str, str, str], Labels] = {}

    def of(self, institution: str, queue: str, system: str | None) -> Labels:
        """Of a lane. Only what is wholly known is remembered: an institution may be configured tomorrow."""
        key = institution, queue, system or UNKNOWN
        known = self._known.get(key)
        if known is not None:
            return known
        try:
            told = self._names.institution(institution), self._names.submodule(queue), self._names.exam_system(system)
        except Exception as error:  # noqa: BLE001 the database may be away
            log_defect(error)
            told = UNKNOWN, UNKNOWN, UNKNOWN
        labels = (("institution", told[0]), ("queue", told[1]), ("system", told[2]))
        if told == key and len(self._known) < MOST_NAMES:
            self._known[key] = labels
        return labels
