"""A student's row in FS as it is now. It is read before each action that cannot be undone."""

from dataclasses import dataclass, field
from typing import Any

from casebridge.errors import NotReadyError
from casebridge.exams.exam_key import plain_vurd_id
from casebridge.exams.fs_rows import UnreadableRow, chosen_row, read_row
from casebridge.exams.models import ExplanationRequest
from casebridge.exams.ports import StudentRegistry
from casebridge.personal_data import Personal


@dataclass(frozen=True)
class CurrentRow:
    """The request, its text if FS shows one, and the rows of other persons on the exam.

    `unreadable` are the rows of the exam that cannot be read and may be another person's.
    """

    request: ExplanationRequest
    text: Personal[str | None] = field(repr=False)
    others: Personal[tuple[ExplanationRequest, ...]] = field(default=(), repr=False)
    unreadable: Personal[tuple[UnreadableRow, ...]] = field(default=(), repr=False)


def current_row(registry: StudentRegistry, vurd_id: str, personlopenr: int) -> CurrentRow | None:
    """The person's row on the exam, or `None` if FS has none any more. Of several rows, the choice is the same as in a poll.

    Raises `NotReadyError` `fs.row_unreadable_now` if FS has an unreadable row that may be the person's.
    """
    raws = registry.fresh_rows(plain_vurd_id(vurd_id))
    rows = [(read_row(raw), raw) for raw in raws]
    read = [(row, raw) for row, raw in rows if not isinstance(row, UnreadableRow)]
    unreadable = [row for row, _ in rows if isinstance(row, UnreadableRow)]
    own = [(row, raw) for row, raw in read if row.personlopenr == personlopenr]
    if own:
        chosen = chosen_row([row for row, _ in own])
        text = next(text_of(raw) for row, raw in own if row is chosen)
        others = tuple(row for row, _ in read if row.personlopenr != personlopenr)
        return CurrentRow(chosen, text, others, tuple(row for row in unreadable if row.personlopenr != personlopenr))
    if any(row.personlopenr in (None, personlopenr) for row in unreadable):
        raise NotReadyError(
            "fs.row_unreadable_now",
            "The request's row in FS can no longer be read, or it is gone and the exam has an unreadable row that may be it.",
            "Ask the institution to correct the unreadable row in FS. An alert of its own says what is wrong with it. This "
            "message then goes on by itself.",
            system="FS",
        )
    return None


def text_of(raw: dict[str, Any]) -> str | None:
    """The explanation that a row shows, if it shows one."""
    explanation = raw.get("begrunnelse")
    text = explanation.get("tekst") if isinstance(explanation, dict) else None
    return text if isinstance(text, str) else None
