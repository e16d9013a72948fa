"""Marks for model fields with personal data, so that tests and exports can find them.

The rule (design §7): a marked value may be in MongoDB, FS, the exam system and the archive. It may not be in logs, Slack, LaaS,
Dagster metadata or error messages.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict


class PersonalData:
    """The mark itself, used as `Annotated[type, PersonalData()]` or `Personal[type]`."""

    def __repr__(self) -> str:
        return "PersonalData()"


T = TypeVar("T")
Personal = Annotated[T, PersonalData()]


class DomainModel(BaseModel):
    """A value from or for an outside system. It is immutable, and ignores unknown fields.

    Its errors contain no values. Marked fields are left out when it is printed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        hidden = personal_fields(type(self))
        return [(name, value) for name, value in super().__repr_args__() if name not in hidden]


def personal_fields(model: type) -> frozenset[str]:
    """The names of the fields of a model or dataclass that are marked as personal data."""
    if issubclass(model, BaseModel):
        marks: dict[str, Sequence[Any]] = {name: field.metadata for name, field in model.model_fields.items()}
    else:
        hints = get_type_hints(model, include_extras=True)
        marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return frozenset(name for name, given in marks.items() if any(isinstance(mark, PersonalData) for mark in given))
