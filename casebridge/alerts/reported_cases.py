"""Which cases of a folded alert a message has named, and which are to be named.

They are fields of one document of `oai.alerts`:

- `correlationIds`: the cases.
- `toldIds`: the cases that the last message named.
- `notes`: a note for some cases.

A case is to be named if the last message did not name it, or if its note has changed since.
"""

import re
from itertools import accumulate
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.database import Document

MOST_COUNTED: Final = 50
"""The most cases that wait to be named in an alert whose cases are also listed elsewhere."""
MOST_LISTED: Final = 10_000
"""The same for an alert that is the only list of its cases. It bounds the document, and no institution has so many."""
LONGEST_LIST: Final = 2000
"""Characters of the cases that one message lists: some fifty. The next message has the others. Slack takes 4,000 in all."""
NOTED: Final = re.compile(r"[0-9A-Za-z_-]{1,100}")
"""A correlation id that can be the name of a field."""
FIELDS: Final = dict.fromkeys(("correlationIds", "toldIds", "notes"), 1)


class ReportedCases:
    """The cases of one document, as it was read."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._cases = _list(document.get("correlationIds"))
        self._named = _list(document.get("toldIds"))
        notes = document.get("notes")
        self._notes: dict[str, Any] = notes if isinstance(notes, dict) else {}

    @staticmethod
    def of(alert: Alert) -> Document:
        """The fields for a cause that is opened."""
        return {"correlationIds": list(alert.named), "toldIds": [], "notes": _notes(alert)}

    @staticmethod
    def is_readable(document: Document) -> bool:
        """Whether cases can be added to the fields. An earlier release wrote `correlationIds` only."""
        return (
            isinstance(document.get("correlationIds"), list)
            and isinstance(document.get("toldIds", []), list)
            and isinstance(document.get("notes", {}), dict)
        )

    def addition(self, alert: Alert) -> Document | None:
        """The update that adds the alert's cases. `None` if all of them were named or will be, or if too many wait."""
        changed = {case: note for case, note in _notes(alert).items() if note != self._notes.get(case)}
        new_cases = [case for case in alert.named if case not in self._cases or case in changed]
        if not new_cases or len(self._waiting) >= (MOST_COUNTED if alert.cases is None else MOST_LISTED):
            return None
        return {
            "$set": {f"notes.{case}": note for case, note in changed.items()},
            "$addToSet": {"correlationIds": {"$each": new_cases}},
            "$pull": {"toldIds": {"$in": new_cases}},
        }

    def to_send(self) -> Document:
        """The document to send: its `correlationIds` are the cases to be named now, `furtherCases` the number of the others.

        `namedNow` has the same cases in their stored form, because a message may not show every id.
        """
        waiting = self._waiting
        if self._document.get("listsCases"):
            ends = accumulate(len(str(case)) + len(str(self._note(case) or "")) + len(", ()") for case in waiting)
            named = [case for case, end in zip(waiting, ends, strict=True) if end <= LONGEST_LIST] or waiting[:1]
        else:
            named = waiting
        return {**self._document, "correlationIds": named, "namedNow": named, "furtherCases": len(waiting) - len(named)}

    def after(self, sent: Document) -> tuple[Document, bool]:
        """The fields to store after the document `sent` was sent, and whether cases are left to be named.

        A case whose note has changed meanwhile is left.
        """
        at_sending = ReportedCases(sent)
        named = [
            case for case in _list(sent.get("namedNow")) if self._note(case) == at_sending._note(case)
        ] or self._named
        left = [case for case in self._waiting if case not in named]
        kept = [*named, *left]
        notes = {case: self._note(case) for case in kept if self._note(case) is not None}
        return {"correlationIds": kept, "toldIds": named, "notes": notes}, bool(left)

    @property
    def _waiting(self) -> list[Any]:
        return [case for case in self._cases if case not in self._named]

    def _note(self, case: object) -> Any:
        return self._notes.get(case) if isinstance(case, str) else None


def _notes(alert: Alert) -> dict[str, str]:
    return {case: note for case, note in (alert.cases or {}).items() if note and NOTED.fullmatch(case)}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
