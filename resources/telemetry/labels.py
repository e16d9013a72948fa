"""The labels of every metric: institution, queue, system and code.

Names that came from outside are shown only if they are configured.
"""

from typing import Final

from casebridge.defect import log_defect
from casebridge.messaging.queue.message import UNKNOWN
from casebridge.safe_names import SafeNames

Labels = tuple[tuple[str, str], ...]

MOST_NAMES: Final = 5000
"""Most sets of labels that are kept in memory. Others are built each time."""


class SafeLabels:
    """Builds labels. Never raises: while the database is away, new names become `unknown`. Thread-safe."""

    def __init__(self, names: SafeNames) -> None:
        self._names = names
        self._known: dict[tuple[str, str, str], Labels] = {}

    def of(self, institution: str, queue: str, system: str | None) -> Labels:
        """The labels of a lane. They are kept only if all names are known: an institution may be configured later."""
        key = institution, queue, system or UNKNOWN
        known = self._known.get(key)
        if known is not None:
            return known
        try:
            shown = self._names.institution(institution), self._names.submodule(queue), self._names.exam_system(system)
        except Exception as error:  # noqa: BLE001 the database may be away
            log_defect(error)
            shown = UNKNOWN, UNKNOWN, UNKNOWN
        labels = (("institution", shown[0]), ("queue", shown[1]), ("system", shown[2]))
        if shown == key and len(self._known) < MOST_NAMES:
            self._known[key] = labels
        return labels
