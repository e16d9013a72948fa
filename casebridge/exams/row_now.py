"""A student's row in FS as it is now: looked at before anything is done that cannot be taken back."""

from dataclasses import dataclass, field
from typing import Any

from casebridge.exams.exam_key import plain_vurd_id
from casebridge.exams.fs_rows import chosen_row, personlopenr_of, read_row
from casebridge.exams.models import ExplanationRequest
from casebridge.exams.ports import StudentRegistry
from casebridge.personal_data import Personal


@dataclass(frozen=True)
class RowNow:
    """The request, and the text that FS shows for it, as far as it shows one."""

    request: ExplanationRequest
    text: Personal[str | None] = field(repr=False)


def row_now(registry: StudentRegistry, vurd_id: str, personlopenr: int) -> RowNow | None:
    """The person's row on the exam, by the same choice as when it was read; `None` when FS has none any more."""
    raws = [
        (request, raw) for raw in registry.fresh_rows(plain_vurd_id(vurd_id)) if (request := _own(raw, personlopenr))
    ]
    if not raws:
        return None
    chosen = chosen_row([request for request, _ in raws])
    return RowNow(chosen, next(text_of(raw) for request, raw in raws if request is chosen))


def text_of(raw: dict[str, Any]) -> str | None:
    """The explanation that a row shows, if it shows one."""
    explanation = raw.get("begrunnelse")
    text = explanation.get("tekst") if isinstance(explanation, dict) else None
    return text if isinstance(text, str) else None


def _own(raw: dict[str, Any], personlopenr: int) -> ExplanationRequest | None:
    """`None` also for a row that cannot be read: it is set aside where the exam is read for its requests."""
    if personlopenr_of(raw) not in (personlopenr, None):
        return None  # most rows of an exam are other people's, and reading one whole costs more than this
    request = read_row(raw)
    return request if isinstance(request, ExplanationRequest) and request.personlopenr == personlopenr else None
