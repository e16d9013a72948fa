"""A migration: one numbered step that brings stored documents into the form of a later storage version.

Steps are data. The platform has its own list (`storage.migrations`), and capabilities add theirs. Each number is used once. The
highest number is the storage version that a release writes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from casebridge.database import Database

AT_ONCE: Final = 500
"""Documents that one batch changes: some 10 MB at most, which one operation can write in time."""


@dataclass(frozen=True)
class Progress:
    """The progress of a step, in documents. `changed` counts those that were in the old form."""

    done: int
    total: int
    changed: int


@dataclass(frozen=True)
class Migration:
    """One step.

    - `number`: the storage version after the step.
    - `name`: what it does.
    - `collections`: the collections that it changes.
    - `run`: does it, and yields after each batch. It may be ended after any batch, repeated, and run twice at once: documents in
      the new form are left alone. Each write may be applied twice.
    """

    number: int
    name: str
    collections: tuple[str, ...]
    run: Callable[[Database], Iterator[Progress]]


def in_order(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """The migrations by number. Raises `ValueError` unless the numbers are 1, 2, 3 and so on.

    If two steps had the same number, one storage version would have two meanings.
    """
    ordered = tuple(sorted(migrations, key=lambda migration: migration.number))
    numbers = [migration.number for migration in ordered]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"migrations are numbered {numbers}: each number from 1 on is given once")
    return ordered
