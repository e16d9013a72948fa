"""Runs a Python program under a wall clock that can be set wrong from outside, as a host's clock may be.

`python -m tests.soak.wandering_clock FILE PROGRAM ARGUMENTS…`, where FILE holds the seconds by which the clock is wrong, as one
double. Nothing of casebridge knows of it: what asks this process for the time of day is told a wrong one from then on.
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
RightDatetime = dt.datetime
right_time, right_time_ns = time.time, time.time_ns


def set_wrong(file: Path, seconds: float) -> None:
    """Let the clock of the process that runs under `file` be wrong by so much from now on."""
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(WRONG_BY.pack(seconds))


class _LikeTheRightOne(type):
    """Values are of the standard class, so the class that stands in for it must know them as its own."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, RightDatetime)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, RightDatetime)


def _wander(wrong_by: Callable[[], float]) -> None:
    class WrongDatetime(RightDatetime, metaclass=_LikeTheRightOne):
        def __new__(cls, *parts: Any, **more: Any) -> Any:
            return RightDatetime(*parts, **more)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return RightDatetime.now(tz) + dt.timedelta(seconds=wrong_by())

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    setattr(dt, "datetime", WrongDatetime)  # noqa: B010 - so that mypy lets a class be replaced
    time.time = lambda: right_time() + wrong_by()
    time.time_ns = lambda: right_time_ns() + int(wrong_by() * 1e9)


def main() -> None:
    file, program, *arguments = sys.argv[1:]
    with Path(file).open("rb") as opened:
        memory = mmap.mmap(opened.fileno(), WRONG_BY.size, access=mmap.ACCESS_READ)
    _wander(lambda: float(WRONG_BY.unpack_from(memory)[0]))
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
