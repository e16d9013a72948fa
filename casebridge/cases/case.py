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
"""The value of `setAside` once an operator has said that the case is settled without us."""
NOT_SET_ASIDE: Final[dict[str, Any]] = {"setAside": None}
"""What a step that succeeds writes: it clears both marks."""
BASE_FIELDS: Final = (
    "correlationId", "orgId", "env", "institution", "state", "openedAt", "deadline", "setAside", "setAsideAt", "discardedAt",
    "discardedBy", "discardReason", "links",
)  # fmt: skip
"""Fields that every kind of case may have; the state of a case is reached at `<state>At`."""


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
    """The key: made of what makes the case unique, so that the same case is never opened twice. Never leaves MongoDB."""
    correlation_id: str
    """The number by which people, the audit, messages and alerts name the case. Random; tells nothing about a person."""
    institution: str
    state: str
    document: Personal[Document] = field(repr=False)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Raises where a field that every reader relies on is absent or of another type, or the state is unknown."""
        check_kinds(document, ALWAYS)
        state = cls.lifecycle.state(document["state"])
        return cls(document["_id"], document["correlationId"], document["institution"], state, document)

    @property
    def set_aside(self) -> str | None:
        """The code for which a person must look at the case, if one must."""
        code = self.document.get("setAside")
        return None if code == DISCARDED else code

    @property
    def is_discarded(self) -> bool:
        """Whether an operator has said that the case is settled without us."""
        return bool(self.document.get("setAside") == DISCARDED)

    @property
    def deadline(self) -> datetime | None:
        """The day by which the case must be answered, as its midnight. `None`: the kind of case has no deadline."""
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
