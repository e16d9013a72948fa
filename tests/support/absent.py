"""What stands for a field that a document does not have, among values that it may have."""

from enum import Enum
from typing import Final


class _Absent(Enum):
    """An enumeration, and no bare object: each process must give a test the same name."""

    ABSENT = "absent"

    def __str__(self) -> str:
        return self.value


ABSENT: Final = _Absent.ABSENT
