"""A marker for a missing field, among the values that the field may have."""

from enum import Enum
from typing import Final


class _Absent(Enum):
    """An enumeration instead of a bare object, so that each process of pytest gives a test the same id."""

    ABSENT = "absent"

    def __str__(self) -> str:
        return self.value


ABSENT: Final = _Absent.ABSENT
