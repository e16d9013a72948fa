"""A case as every capability has it: the fields that operators and the platform read."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from casebridge.cases.lifecycle import Lifecycle
from casebridge.database import Document
from casebridge.messaging.queue.message import is_text, moment_of
from casebridge.personal_data import Personal
from casebridge.readable_documents import check_kinds

ALWAYS: Final = {"_id": str, "correlationId": str, "institution": str}
"""Fields of every case, and the type of each."""
DISCARDED: Final = "discarded"
"""The value of `setAside` after an operator has declared that the case is resolved without casebridge."""
NOT_SET_ASIDE: Final[dict[str, Any]] = {"setAside": None}
"""The fields that a successful step writes. They clear both marks: set aside and discarded."""
BASE_FIELDS: Final = (
    "correlationId", "orgId", "env", "institution", "state", "openedAt", "deadline", "setAside", "setAsideAt", "discardedAt",
    "discardedBy", "discardReason", "links",
)  # fmt: skip
"""Fields that every kind of case may have. The field `<state>At` has the time at which the case reached a state."""


@dataclass(frozen=True)
class Link:
    """A reference from one case to another, such as from an appeal to the explanation that it is about."""

    relation: str
    correlation_id: str

    def document(self) -> Document:
        return {"relation": self.relation, "correlationId": self.correlation_id}


@dataclass(frozen=True)
class Case:
    """One case. A capability derives its own class from this one and names its states in `lifecycle`."""

    lifecycle: ClassVar[Lifecycle]

    id: str
    """The key. It is built from what makes the case unique, so the same case is never opened twice. It never leaves MongoDB."""
    correlation_id: str
    """The id by which people, the audit, messages and alerts name the case. It says nothing about a person."""
    institution: str
    state: str
    document: Personal[Document] = field(repr=False)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Raises if one of the fields of every case is absent or has the wrong type, or if the state is unknown."""
        check_kinds(document, ALWAYS)
        state = cls.lifecycle.state(document["state"])
        return cls(document["_id"], document["correlationId"], document["institution"], state, document)

    @property
    def set_aside(self) -> str | None:
        """The error code for which a person must look at the case, or `None`."""
        code = self.document.get("setAside")
        return None if code == DISCARDED else code

    @property
    def is_discarded(self) -> bool:
        """Whether an operator has declared that the case is resolved without casebridge."""
        return bool(self.document.get("setAside") == DISCARDED)

    @property
    def deadline(self) -> datetime | None:
        """The last day for the answer, as midnight of that day. `None` if the kind of case has no deadline."""
        return moment_of(self.document, "deadline")

    @property
    def links(self) -> tuple[Link, ...]:
        """The cases that this one refers to."""
        stored = self.document.get("links")
        found = stored if isinstance(stored, list) else []
        return tuple(
            Link(one["relation"], one["correlationId"])
            for one in found
            if isinstance(one, dict) and is_text(one.get("relation")) and is_text(one.get("correlationId"))
        )
