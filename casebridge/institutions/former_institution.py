"""Whose a case is, where the institution may be carried no more."""

from dataclasses import dataclass
from typing import Final

from casebridge.database import Document
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_text
from casebridge.tenant import UNKNOWN

INACTIVE_TOLD: Final = "inactiveToldAt"
"""When people were told that the case's institution is carried no more, in the case."""


@dataclass(frozen=True)
class FormerInstitution:
    """An institution on one exam system, by the names that its cases have for it."""

    key: str
    org_id: str
    exam_system: str

    @classmethod
    def of(cls, document: Document) -> "FormerInstitution":
        """Of a case that says at least its institution."""
        names = (document["institution"], document.get("orgId"), document.get("examSystem"))
        return cls(*(name if is_text(name) else UNKNOWN for name in names))


Owner = Institution | FormerInstitution
