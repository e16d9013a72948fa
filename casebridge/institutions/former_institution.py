"""The institution of a case, which may no longer be active."""

from dataclasses import dataclass
from typing import Final

from casebridge.database import Document
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_text
from casebridge.tenant import UNKNOWN

INACTIVE_TOLD: Final = "inactiveToldAt"
"""The field of a case with the time of the alert that its institution is no longer active."""


@dataclass(frozen=True)
class FormerInstitution:
    """An institution on one exam system, with the names that are stored in its cases."""

    key: str
    org_id: str
    exam_system: str

    @classmethod
    def of(cls, document: Document) -> "FormerInstitution":
        """The institution of a case document, which must have at least `institution`."""
        names = (document["institution"], document.get("orgId"), document.get("examSystem"))
        return cls(*(name if is_text(name) else UNKNOWN for name in names))


Owner = Institution | FormerInstitution
