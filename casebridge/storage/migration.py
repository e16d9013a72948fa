"""A migration: one numbered step that brings stored documents into the form of a later storage version.

Steps are data. The platform has its own list (`storage.migrations`), and capabilities add theirs. A number is given once and
for all: the newest one is the storage version that a release writes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from casebridge.database import Database

AT_ONCE: Final = 500
"""Documents that one batch changes: some 10 MB at most, well within the time of one operation."""


@dataclass(frozen=True)
class Progress:
    """How far a step is, in documents. `changed` counts those that were in the old form."""

    done: int
    total: int
    changed: int


@dataclass(frozen=True)
class Migration:
    """`number` is the storage version after the step, `name` says what it does, `collections` which documents it changes.

    `run` yields after each batch. It may be ended after any batch, run again, and run twice at once: what is in the new form is
    left alone. Each write is right when it is applied twice.
    """

    number: int
    name: str
    collections: tuple[str, ...]
    run: Callable[[Database], Iterator[Progress]]


def in_order(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """Raises `ValueError` unless the numbers are 1, 2, 3 …: two steps with one number would be two storage versions in one."""
    ordered = tuple(sorted(migrations, key=lambda migration: migration.number))
    numbers = [migration.number for migration in ordered]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"migrations are numbered {numbers}: each number from 1 on is given once")
    return ordered
