"""Marks the model fields that hold personal data, so that tests and exports can find them.

Only the mark belongs here. The rule (design §7): a marked value lives in MongoDB, FS, the exam system and the archive,
and nowhere else: not in logs, Slack, LaaS, Dagster metadata or an error message.
"""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict


class PersonalData:
    """The mark itself, used as `Annotated[type, PersonalData()]` or `Personal[type]`."""

    def __repr__(self) -> str:
        return "PersonalData()"


T = TypeVar("T")
Personal = Annotated[T, PersonalData()]


class DomainModel(BaseModel):
    """A value from or for an outside system: immutable, tolerant of unknown fields, silent about values in its errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)


def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the fields of `model` that are marked as personal data."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, PersonalData) for mark in field.metadata)
    )
