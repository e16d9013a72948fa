"""What a sensor remembers between two ticks. If a cursor is lost or unreadable, only the order of institutions is lost."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


def _new_epoch() -> str:
    return uuid.uuid4().hex[:12]


class Cursor(BaseModel):
    """Which institution is polled first, and how many batches were requested.

    Dagster remembers run keys for ever and silently drops a run whose key it knows. So each new cursor has an epoch of its own:
    its count starts at 0, but its run keys differ from all earlier ones.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    first: str | None = None
    epoch: str = Field(default_factory=_new_epoch)
    batches: int = 0

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """The cursor that `write` wrote. For anything else, a new cursor."""
        try:
            return cls.model_validate_json(text or "")
        except ValidationError:
            return cls()

    def write(self) -> str:
        return self.model_dump_json()

    def with_first(self, first: str | None) -> Cursor:
        return self.model_copy(update={"first": first})

    def next_batch(self) -> Cursor:
        return self.model_copy(update={"batches": self.batches + 1})

    def run_key(self, sensor: str) -> str:
        """The run key of the batch that was requested last. It never names a message or a case."""
        return f"{sensor}:{self.epoch}:{self.batches}"
