"""FS's rows, each read alone: what one row brings out makes that row unreadable and touches no other.

Here is also the choice where FS has several rows of one person on one exam (two commissions, say): the exam system and a
registration in FS know one case a person and exam.
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
"""Of a value, and of a whole row so many more, are kept of what cannot be read: enough for a person to find it in FS."""
KEPT_IN_ALL: Final = 20_000


@dataclass(frozen=True)
class UnreadableRow:
    """A row that is no request. `fields` names what is misstated, never a value."""

    raw: Personal[str] = field(repr=False)
    """The row as text, clipped: whatever FS sends, the message that carries it fits."""
    identity: Personal[str] = field(repr=False)
    """The same for the same row, and for no other: the whole row as text where it can be had."""
    fields: str
    personlopenr: Personal[int | None] = field(default=None, repr=False)
    """Whose it is, as far as the row says so."""
    kandidatnr: Personal[int | None] = field(default=None, repr=False)
    brukernavn: Personal[str | None] = field(default=None, repr=False)

    def person(self, realm: str) -> Person:
        """Whom the row may be about: what it does not say agrees with nobody and contradicts nobody."""
        return Person(self.kandidatnr, self.personlopenr, self.brukernavn, realm)


def read_row(row: Any) -> ExplanationRequest | UnreadableRow:
    """The request in a row. Never raises: any failure is the row's own."""
    try:
        request = ExplanationRequest.model_validate(row)
        _ = request.exam, request.version
    except ValidationError as error:
        # The field of ours. Below it a sender chooses the names.
        fields = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False) if problem["loc"]})
        return unreadable(row, ", ".join(fields) or "the whole row")
    except CaseError:
        return unreadable(row, "examId")
    except Exception as error:  # noqa: BLE001 whatever it is, it is this row's and stops no other
        return unreadable(row, f"something ({type(error).__name__})")
    return request


def safe_fields(fields: str) -> str:
    """`fields` of a stored row, without what is no field of ours: that may be anything."""
    told = [field for field in fields.split(", ") if field in FIELDS or SOMETHING.fullmatch(field)]
    return ", ".join(told) or "a field (the message does not say which)"


def unreadable(row: Any, fields: str) -> UnreadableRow:
    """A row that nobody can carry, with what is the matter with it."""
    said = row if isinstance(row, dict) else {}
    name = said.get("brukernavn")
    return UnreadableRow(
        clipped(row),
        _identity(row),
        fields,
        fs_number(said.get("personlopenr")),
        fs_number(said.get("kandidatnr")),
        name if isinstance(name, str) else None,
    )


def canonical(vurd_id: str) -> str:
    """The one spelling of an exam's id; what cannot be decoded stands for itself."""
    try:
        return ExamKey.from_vurd_id(vurd_id).vurd_id
    except CaseError:
        return vurd_id


def fs_number(value: Any) -> int | None:
    """A number of FS's as a row that can be read has it; one that no row could have stands for itself."""
    try:
        return NUMBER.validate_python(value)
    except ValidationError:
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def chosen_row(rows: Sequence[ExplanationRequest]) -> ExplanationRequest:
    """The row that counts among all rows of one person on one exam, in whatever order FS sends them.

    One open row wins over finished ones; of several, the one that was asked for last. Raises `ValueError` without rows.
    """
    return max(rows, key=lambda row: (not row.finished_in_fs, *_age(row)))


def by_person(requests: Iterable[ExplanationRequest]) -> list[list[ExplanationRequest]]:
    """The rows of each person on each exam together; a row that comes twice counts once."""
    groups: dict[tuple[str, int], list[ExplanationRequest]] = {}
    for request in requests:
        group = groups.setdefault((canonical(request.vurd_id), request.personlopenr), [])
        if request not in group:
            group.append(request)
    return list(groups.values())


def clipped(value: Any) -> str:
    """A value of FS's as text of a bounded length, with characters that every database takes."""
    if isinstance(value, dict):
        kept = {_short(name)[:100]: _clip(each) for name, each in list(value.items())[:KEPT_FIELDS]}
        if len(value) > KEPT_FIELDS:
            kept["…"] = f"{len(value) - KEPT_FIELDS} more fields"
        text = json.dumps(kept, sort_keys=True)
    else:
        text = json.dumps(_clip(value))
    return text if len(text) <= KEPT_IN_ALL else f"{text[:KEPT_IN_ALL]}… ({len(text)} characters)"


def _clip(value: Any) -> Any:
    """A plain value as it is, as long as it is short; anything else as its beginning."""
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
        # Without clipping: a message is known by this since the first version.
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
