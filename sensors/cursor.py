"""The memory of a sensor between two ticks. A hint only: an unreadable or lost cursor costs nothing but the turn."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


def _new_epoch() -> str:
    return uuid.uuid4().hex[:12]


class Cursor(BaseModel):
    """Whose turn is first, and how many batches were asked for.

    Dagster remembers a run key for ever. So the count begins with an epoch of its own whenever a cursor begins: a
    count that started over would repeat old keys, and its runs would be dropped without a word.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    first: str | None = None
    epoch: str = Field(default_factory=_new_epoch)
    batches: int = 0

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """What `write` wrote; a new cursor for anything else."""
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
        """Of the batch that was asked for last; never of a message or case."""
        return f"{sensor}:{self.epoch}:{self.batches}"
