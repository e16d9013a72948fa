"""What limits a measurement: the processor time of each process and of the rest of the machine, and the wait for a remote server.

The processor time of a server that is given by address cannot be read here. What can be measured is how long our process waits
for its answers, and how long a round trip takes. `Shares.bound` is the first of these that is true:

1. `all cores`: the whole machine was used.
2. `processor: NAME`: this process used its core completely.
3. A command to a server by address was under way for at least half of the time. It is `network` if the round trip is at least
   half of a mean command, else `MongoDB server by address`.
4. `waiting`: none of these.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from types import TracebackType
from typing import Any, Final, Protocol

import psutil

from bench.command_log import CommandTimes

ALMOST_A_CORE: Final = 0.85
"""A process that runs one thread at a time (Python, an event loop) reaches its limit a little below a whole core."""
MOST_OF_THE_TIME: Final = 0.5
MOST_OF_A_COMMAND: Final = 0.5
SMALLEST_SHARE_SHOWN: Final = 0.05
OTHERS: Final = "other programs"
RUNS_AND_OTHERS: Final = "Dagster's runs and other programs"
"""The name of the rest if short-lived processes do the work."""
RESTS: Final = (OTHERS, RUNS_AND_OTHERS)


class TimesCommands(Protocol):
    """Something that has the command times of the measured process."""

    def times(self) -> CommandTimes: ...


@dataclass(frozen=True)
class ServerWait:
    """How a process waited for a MongoDB-protocol server that is given by address.

    `under_way` is the part of the time in which at least one command was under way. `command_seconds` is the mean time of a
    command, `None` if nothing measured it. `ping_seconds` is the round trip of a command that does nothing.
    """

    ping_seconds: float
    under_way: float | None = None
    command_seconds: float | None = None

    @classmethod
    def measured(cls, times: CommandTimes, seconds: float, ping_seconds: float) -> "ServerWait":
        return cls(ping_seconds, times.any_under_way / seconds, times.in_all / max(1, times.commands))

    @classmethod
    def median(cls, waits: Sequence["ServerWait"]) -> "ServerWait":
        measured = [one for one in waits if one.under_way is not None and one.command_seconds is not None]
        return cls(
            median(one.ping_seconds for one in waits),
            median(one.under_way or 0.0 for one in measured) if measured else None,
            median(one.command_seconds or 0.0 for one in measured) if measured else None,
        )

    @classmethod
    def mean(cls, parts: Sequence[tuple["ServerWait", float]]) -> "ServerWait":
        """The mean of parts that ran one after the other, weighted by the seconds that each part took."""
        whole = sum(seconds for _, seconds in parts)

        def weighted(values: Sequence[float | None]) -> float | None:
            if any(value is None for value in values):
                return None
            return sum((value or 0.0) * seconds for value, (_, seconds) in zip(values, parts, strict=True)) / whole

        return cls(
            median(one.ping_seconds for one, _ in parts),
            weighted([one.under_way for one, _ in parts]),
            weighted([one.command_seconds for one, _ in parts]),
        )

    def __str__(self) -> str:
        ping = f"ping {1000 * self.ping_seconds:.2g} ms"
        if self.under_way is None or self.command_seconds is None:
            return f"{ping}, commands not measured"
        return f"commands under way {self.under_way:.0%} of the time, {1000 * self.command_seconds:.3g} ms each, {ping}"

    @property
    def bound(self) -> str | None:
        """The limit that follows from the wait: the network, the server, or none."""
        if self.under_way is None or self.command_seconds is None or self.under_way < MOST_OF_THE_TIME:
            return None
        is_network = self.ping_seconds >= MOST_OF_A_COMMAND * self.command_seconds
        return "network" if is_network else "MongoDB server by address"


@dataclass(frozen=True)
class Shares:
    """Processor time by process, in cores: 1.0 is one core for the whole time. `server` is set for a server by address."""

    cores: dict[str, float]
    server: ServerWait | None = None

    def __str__(self) -> str:
        """What limited the work, then the share of each process."""
        largest_first = sorted(self.cores.items(), key=lambda share: -share[1])
        shares = ", ".join(f"{name} {share:.0%}" for name, share in largest_first if share >= SMALLEST_SHARE_SHOWN)
        wait = "" if self.server is None else f"; {self.server}"
        return f"{self.bound} ({shares or 'no process above 5%'} of a core{wait})"

    @property
    def bound(self) -> str:
        """The limit, by the rule in the docstring of this module."""
        in_use = sum(self.cores.values())
        if in_use >= ALMOST_A_CORE * (psutil.cpu_count() or 1):
            return "all cores"
        # The rest may be any number of processes.
        measured = [(share, name) for name, share in self.cores.items() if name not in RESTS]
        share, name = max(measured, default=(0.0, ""))
        if share >= ALMOST_A_CORE:
            return f"processor: {name}"
        return (self.server.bound if self.server else None) or "waiting"

    def as_json(self) -> dict[str, Any]:
        return {"cores": self.cores, "server": None if self.server is None else asdict(self.server)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Shares":
        server = value["server"]
        return cls(dict(value["cores"]), None if server is None else ServerWait(**server))

    @classmethod
    def median(cls, runs: list["Shares"]) -> "Shares":
        names = sorted({name for run in runs for name in run.cores})
        waits = [run.server for run in runs if run.server is not None]
        return cls(
            {name: median([run.cores.get(name, 0.0) for run in runs]) for name in names},
            ServerWait.median(waits) if waits else None,
        )

    @classmethod
    def mean(cls, parts: list[tuple["Shares", float]]) -> "Shares":
        """The mean of parts that ran one after the other, weighted by the seconds that each part took."""
        whole = sum(seconds for _, seconds in parts)
        names = sorted({name for part, _ in parts for name in part.cores})
        waits = [(part.server, seconds) for part, seconds in parts if part.server is not None]
        return cls(
            {name: sum(part.cores.get(name, 0.0) * seconds for part, seconds in parts) / whole for name in names},
            ServerWait.mean(waits) if waits else None,
        )


@dataclass
class ProcessorMeter:
    """Measures the processor time of processes, and the wait for a server by address, while its context is open.

    - `processes`: ids of the processes on this machine, by name.
    - `rest`: the name for all other programs together.
    - `ping_seconds`, `commands`: only for a database server by address. Without `commands` only the ping is known.
    """

    processes: Mapping[str, int]
    rest: str = OTHERS
    ping_seconds: float | None = None
    commands: TimesCommands | None = None
    seconds: float = 0.0
    _before: dict[str, float] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)
    _times: CommandTimes = field(default_factory=CommandTimes)

    def __enter__(self) -> "ProcessorMeter":
        self._began = time.monotonic()
        self._before = self._read()
        self._times = self._command_times()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        after = self._read()
        self._times = self._command_times().since(self._times)
        self.seconds = time.monotonic() - self._began
        self._took = {name: max(0.0, after[name] - self._before[name]) for name in after}

    def took(self, name: str) -> float:
        """Processor seconds of one process and its children."""
        return self._took[name]

    def shares(self) -> Shares:
        known = {name: seconds for name, seconds in self._took.items() if name != self.rest}
        rest = max(0.0, self._took[self.rest] - sum(known.values()))
        cores = {name: seconds / self.seconds for name, seconds in {**known, self.rest: rest}.items()}
        return Shares(cores, self._server_wait())

    def _server_wait(self) -> ServerWait | None:
        if self.ping_seconds is None:
            return None
        if self.commands is None:
            return ServerWait(self.ping_seconds)
        return ServerWait.measured(self._times, self.seconds, self.ping_seconds)

    def _command_times(self) -> CommandTimes:
        return self.commands.times() if self.commands else CommandTimes()

    def _read(self) -> dict[str, float]:
        taken = {name: _tree_seconds(pid) for name, pid in self.processes.items()}
        machine = psutil.cpu_times()
        return {**taken, self.rest: sum(machine) - machine.idle - getattr(machine, "iowait", 0.0) - _guests(machine)}


def _guests(machine: object) -> float:
    """Time of virtual machines. The system counts it as user time, too."""
    return float(getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0))


def _tree_seconds(pid: int) -> float:
    """Processor time of a process, of its children, and of those children that have ended."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        times = process.cpu_times()
        own = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(own + sum(_tree_seconds(child.pid) for child in process.children()))
    return 0.0
