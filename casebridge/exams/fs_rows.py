"""Reads FS's rows, each by itself: an error in one row makes that row unreadable and does not affect the others.

If FS has several rows of one person on one exam, for example of two commissions, this module also chooses one of them. The exam
system, and a registration in FS, know only one case for each person and exam.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from casebridge.errors import CaseError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.fs_values import FsNumber
from casebridge.exams.identity import Person
from casebridge.exams.models import ExplanationRequest
from casebridge.personal_data import Personal

KEPT_FIELDS: Final = 60
NUMBER: Final[TypeAdapter[int]] = TypeAdapter(FsNumber)
FIELDS: Final = frozenset(
    {field.alias or name for name, field in ExplanationRequest.model_fields.items()} | {"the whole row"}
)
SOMETHING: Final = re.compile(r"something \([A-Za-z]{1,60}\)")
KEPT_CHARACTERS: Final = 400
"""How many characters of a value in an unreadable row are kept. This is enough for a person to find the row in FS."""
KEPT_IN_ALL: Final = 20_000
"""How many characters of a whole unreadable row are kept."""


@dataclass(frozen=True)
class UnreadableRow:
    """A row that cannot be read as a request. `fields` names the faulty fields and has no values."""

    raw: Personal[str] = field(repr=False)
    """The row as clipped text, so that it always fits into a message."""
    identity: Personal[str] = field(repr=False)
    """The text that identifies the row: the whole row as text, or the clipped text if that is not possible."""
    fields: str
    personlopenr: Personal[int | None] = field(default=None, repr=False)
    """The person of the row, if the row says it."""
    kandidatnr: Personal[int | None] = field(default=None, repr=False)
    brukernavn: Personal[str | None] = field(default=None, repr=False)

    def person(self, realm: str) -> Person:
        """The person of the row, with the fields that it has. Missing fields neither agree nor contradict."""
        return Person(self.kandidatnr, self.personlopenr, self.brukernavn, realm)


def read_row(row: Any) -> ExplanationRequest | UnreadableRow:
    """The request in a row. Never raises: a row that fails in any way is returned as unreadable."""
    try:
        request = ExplanationRequest.model_validate(row)
        _ = request.exam, request.version
    except ValidationError as error:
        # Only the outermost name is one of our fields. Names inside the field come from the sender.
        fields = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False) if problem["loc"]})
        return unreadable(row, ", ".join(fields) or "the whole row")
    except CaseError:
        return unreadable(row, "examId")
    except Exception as error:  # noqa: BLE001 an error in one row must not stop the others
        return unreadable(row, f"something ({type(error).__name__})")
    return request


def safe_fields(fields: str) -> str:
    """The `fields` of a stored row, but only names of our own fields. Anything else may come from outside."""
    known = [field for field in fields.split(", ") if field in FIELDS or SOMETHING.fullmatch(field)]
    return ", ".join(known) or "a field (the message does not say which)"


def unreadable(row: Any, fields: str) -> UnreadableRow:
    """The unreadable row, with the names of its faulty fields."""
    content = row if isinstance(row, dict) else {}
    name = content.get("brukernavn")
    return UnreadableRow(
        clipped(row),
        _identity(row),
        fields,
        fs_number(content.get("personlopenr")),
        fs_number(content.get("kandidatnr")),
        name if isinstance(name, str) else None,
    )


def canonical(vurd_id: str) -> str:
    """The normal spelling of an exam's id. An id that cannot be decoded is returned unchanged."""
    try:
        return ExamKey.from_vurd_id(vurd_id).vurd_id
    except CaseError:
        return vurd_id


def fs_number(value: Any) -> int | None:
    """A number from FS. An integer out of range is returned unchanged; anything else that is no number gives `None`."""
    try:
        return NUMBER.validate_python(value)
    except ValidationError:
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def chosen_row(rows: Sequence[ExplanationRequest]) -> ExplanationRequest:
    """The row that counts among all rows of one person on one exam. The order of the rows does not matter.

    An open row comes before finished ones. Of several, the row with the latest request counts. Raises `ValueError` without rows.
    """
    return max(rows, key=lambda row: (not row.finished_in_fs, *_age(row)))


def by_person(requests: Iterable[ExplanationRequest]) -> list[list[ExplanationRequest]]:
    """The rows, grouped by person and exam. A row that comes twice is there once."""
    groups: dict[tuple[str, int], list[ExplanationRequest]] = {}
    for request in requests:
        group = groups.setdefault((canonical(request.vurd_id), request.personlopenr), [])
        if request not in group:
            group.append(request)
    return list(groups.values())


def clipped(value: Any) -> str:
    """A value from FS as text of bounded length, with characters that every database can store."""
    if isinstance(value, dict):
        kept = {_short(name)[:100]: _clip(each) for name, each in list(value.items())[:KEPT_FIELDS]}
        if len(value) > KEPT_FIELDS:
            kept["…"] = f"{len(value) - KEPT_FIELDS} more fields"
        text = json.dumps(kept, sort_keys=True)
    else:
        text = json.dumps(_clip(value))
    return text if len(text) <= KEPT_IN_ALL else f"{text[:KEPT_IN_ALL]}… ({len(text)} characters)"


def _clip(value: Any) -> Any:
    """A short plain value unchanged, or the beginning of any other value as text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**64:
        return value
    text = _short(value)
    return text if len(text) <= KEPT_CHARACTERS else f"{text[:KEPT_CHARACTERS]}… ({len(text)} characters)"


def _short(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except (ValueError, TypeError, RecursionError) as error:
        return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"


def _identity(row: Any) -> str:
    try:
        # This is not clipped, because the keys of messages have been built from it since the first version.
        return json.dumps(row, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return clipped(row)


def _age(row: ExplanationRequest) -> tuple[Any, ...]:
    finished = row.dato_vedtak_formidlet
    return (
        row.dato_klage_mottatt,
        finished.toordinal() if finished else 0,
        row.kommisjons_id or "",
        row.kandidatnr,
        row.version,
    )
