"""Numbers of migrations, and the version that an owner of messages states."""

from collections.abc import Iterator

import pytest

from casebridge.database import Database
from casebridge.storage.migration import Migration, Progress, in_order
from casebridge.storage.migrations import MIGRATIONS
from casebridge.storage.processes import owner_of_version, version_of_owner


def nothing(_database: Database) -> Iterator[Progress]:
    yield Progress(0, 0, 0)


def numbered(*numbers: int) -> list[Migration]:
    return [Migration(number, "A step", ("begrunnelser",), nothing) for number in numbers]


def test_migrations_run_in_the_order_of_their_numbers() -> None:
    assert [migration.number for migration in in_order(numbered(3, 1, 2))] == [1, 2, 3]
    assert in_order(MIGRATIONS) == MIGRATIONS


@pytest.mark.parametrize("numbers", [(1, 1), (2,), (1, 3), (0, 1)])
def test_each_number_is_given_once(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each number"):
        in_order(numbered(*numbers))


def test_an_owner_states_its_version() -> None:
    assert version_of_owner(owner_of_version(17)) == 17
    assert owner_of_version(17) != owner_of_version(17)


@pytest.mark.parametrize("owner", [None, 7, {}, "", "0f5c3c6be7d94e0e9a0b3f7f5b0c2a11", "x-s", "x-sy", "x-s-1", "x-s²"])
def test_any_other_owner_has_no_version(owner: object) -> None:
    assert version_of_owner(owner) == 0
