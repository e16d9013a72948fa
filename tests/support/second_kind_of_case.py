"""A second kind of case: requests for a document. It has states and a collection of its own and no exam."""

from dataclasses import dataclass
from typing import Final

from casebridge.cases.case import Case
from casebridge.cases.lifecycle import Lifecycle
from casebridge.cases.store import CaseStore
from casebridge.clock import Clock
from casebridge.database import Database

LIFECYCLE: Final = Lifecycle(
    initial="received",
    transitions={
        "received": ("with_archive", "refused"),
        "with_archive": ("delivered", "refused"),
        "delivered": (),
        "refused": ("received",),
    },
    open=("received", "with_archive"),
    needs_message=("received",),
)


@dataclass(frozen=True)
class DocumentRequest(Case):
    """One citizen's request for one document."""

    lifecycle = LIFECYCLE

    @property
    def document_name(self) -> str | None:
        return self.document.get("documentName")


class DocumentRequests(CaseStore[DocumentRequest]):
    """Reads and writes `oai.documentRequests`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        collection = database.collection("documentRequests")
        super().__init__(collection, clock, DocumentRequest, ("documentName",))
        self.collection = collection

    def receive(self, *keys: str) -> list[DocumentRequest]:
        """Open one request for each key."""
        fields = {"documentName": "deed"}
        return self.insert_new([self.new_document(key, "uis.no", "test", fields) for key in keys])
