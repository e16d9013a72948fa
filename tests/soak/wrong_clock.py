"""Runs a Python program with a wall clock that another process can set wrong, as the clock of a host may be.

`python -m tests.soak.wrong_clock FILE PROGRAM ARGUMENTS…`, where FILE holds the seconds by which the clock is wrong, as one
double. Every call for the time of day in this process then returns a wrong time. The code of casebridge is not changed.
The monotonic clock stays right, as it does on a host whose wall clock is set.
"""

import datetime as dt
import mmap
import runpy
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

WRONG_BY: Final = struct.Struct("d")
StandardDatetime = dt.datetime
standard_time, standard_time_ns = time.time, time.time_ns


def set_wrong(file: Path, seconds: float) -> None:
    """Make the clock of the process that uses `file` wrong by so many seconds from now on."""
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(WRONG_BY.pack(seconds))


class _KnowsStandardValues(type):
    """Values are of the standard class, so the class that replaces it must accept them as its instances."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, StandardDatetime)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, StandardDatetime)


def _make_clock_wrong(wrong_by: Callable[[], float]) -> None:
    class WrongDatetime(StandardDatetime, metaclass=_KnowsStandardValues):
        def __new__(cls, *parts: Any, **more: Any) -> Any:
            return StandardDatetime(*parts, **more)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return StandardDatetime.now(tz) + dt.timedelta(seconds=wrong_by())

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    setattr(dt, "datetime", WrongDatetime)  # noqa: B010 - so that mypy lets a class be replaced
    time.time = lambda: standard_time() + wrong_by()
    time.time_ns = lambda: standard_time_ns() + int(wrong_by() * 1e9)


def main() -> None:
    file, program, *arguments = sys.argv[1:]
    with Path(file).open("rb") as opened:
        memory = mmap.mmap(opened.fileno(), WRONG_BY.size, access=mmap.ACCESS_READ)
    _make_clock_wrong(lambda: float(WRONG_BY.unpack_from(memory)[0]))
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
