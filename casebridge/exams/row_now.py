"""A student's row in FS as it is now: looked at before anything is done that cannot be taken back."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from casebridge.errors import CaseError
from casebridge.exams.models import ExplanationRequest
from casebridge.exams.ports import StudentRegistry
from casebridge.personal_data import Personal


@dataclass(frozen=True)
class RowNow:
    """The request, and the text that FS shows for it, as far as it shows one."""

    request: ExplanationRequest
    text: Personal[str | None] = field(repr=False)


def row_now(registry: StudentRegistry, vurd_id: str, personlopenr: int) -> RowNow | None:
    """The person's row on the exam: the open one, if one is; `None` when FS has none any more."""
    found = [
        row for raw in registry.fresh_rows(vurd_id) if (row := _read(raw)) and row.request.personlopenr == personlopenr
    ]
    return min(
        found, key=lambda row: (row.request.finished_in_fs, -row.request.dato_klage_mottatt.toordinal()), default=None
    )


def _read(raw: dict[str, Any]) -> RowNow | None:
    """`None` for a row that cannot be read: it is set aside where the exam is read for its requests."""
    try:
        request = ExplanationRequest.model_validate(raw)
        _ = request.exam
    except (ValidationError, CaseError):
        return None
    explanation = raw.get("begrunnelse")
    text = explanation.get("tekst") if isinstance(explanation, dict) else None
    return RowNow(request, text if isinstance(text, str) else None)
