"""What bounds a measurement: how much processor time each of its processes took meanwhile, and the rest of the machine."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType
from typing import Final

import psutil

ALMOST_A_CORE: Final = 0.85
"""A process whose work one thread does at a time (Python, an event loop) is used up a little below a whole core."""
WORTH_TELLING: Final = 0.05
OTHERS: Final = "other programs"
RUNS_AND_OTHERS: Final = "Dagster's runs and other programs"
"""The rest where the work is done by processes that come and go."""
RESTS: Final = (OTHERS, RUNS_AND_OTHERS)


@dataclass(frozen=True)
class Shares:
    """Processor time by process, in cores: 1.0 is one core all the time."""

    cores: dict[str, float]

    def __str__(self) -> str:
        """What the work was bound by, then everybody's share."""
        told = sorted(self.cores.items(), key=lambda share: -share[1])
        shares = ", ".join(f"{name} {share:.0%}" for name, share in told if share >= WORTH_TELLING)
        return f"{self._bound()} ({shares or 'nobody'} of a core)"

    def _bound(self) -> str:
        everybody = sum(self.cores.values())
        if everybody >= ALMOST_A_CORE * (psutil.cpu_count() or 1):
            return "all cores"
        # Of the rest nobody knows how many processes it is.
        measured = [(share, name) for name, share in self.cores.items() if name not in RESTS]
        share, name = max(measured, default=(0.0, ""))
        return f"processor: {name}" if share >= ALMOST_A_CORE else "waiting"

    @classmethod
    def median(cls, runs: list["Shares"]) -> "Shares":
        names = sorted({name for run in runs for name in run.cores})
        return cls({name: median([run.cores.get(name, 0.0) for run in runs]) for name in names})

    @classmethod
    def mean(cls, parts: list[tuple["Shares", float]]) -> "Shares":
        """Of parts that took so many seconds each, one after the other."""
        whole = sum(seconds for _, seconds in parts)
        names = sorted({name for part, _ in parts for name in part.cores})
        return cls(
            {name: sum(part.cores.get(name, 0.0) * seconds for part, seconds in parts) / whole for name in names}
        )


@dataclass
class ProcessorMeter:
    """A context that measures. `processes` are ids by name: those on this machine. `rest` is what everybody else is called."""

    processes: Mapping[str, int]
    rest: str = OTHERS
    seconds: float = 0.0
    _before: dict[str, float] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> "ProcessorMeter":
        self._began = time.monotonic()
        self._before = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        after = self._read()
        self.seconds = time.monotonic() - self._began
        self._took = {name: max(0.0, after[name] - self._before[name]) for name in after}

    def took(self, name: str) -> float:
        """Processor seconds of one process and its children."""
        return self._took[name]

    def shares(self) -> Shares:
        known = {name: seconds for name, seconds in self._took.items() if name != self.rest}
        rest = max(0.0, self._took[self.rest] - sum(known.values()))
        return Shares({name: seconds / self.seconds for name, seconds in {**known, self.rest: rest}.items()})

    def _read(self) -> dict[str, float]:
        taken = {name: _tree_seconds(pid) for name, pid in self.processes.items()}
        machine = psutil.cpu_times()
        return {**taken, self.rest: sum(machine) - machine.idle - getattr(machine, "iowait", 0.0) - _guests(machine)}


def _guests(machine: object) -> float:
    """Time of virtual machines, which the system counts as the user's as well."""
    return float(getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0))


def _tree_seconds(pid: int) -> float:
    """Processor time of a process, of its children, and of those children that have ended."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        times = process.cpu_times()
        own = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(own + sum(_tree_seconds(child.pid) for child in process.children()))
    return 0.0
