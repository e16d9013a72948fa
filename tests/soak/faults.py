"""How each kind of fault is done, and undone when its time has passed."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from local_servers.proxies import Proxy
from tests.soak.installation import LISTENERS, Installation, Process
from tests.soak.plan import Fault, FaultKind

EACH: Final = 0.01
SLOW_REGISTRATIONS: Final = 0.1
"""FS takes so many only after a while, so that a newer answer could overtake an older one on its way."""
BAD_ANSWERS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "latency", "seconds": 0.3},
    {"kind": "drop"},
    {"kind": "drop", "after_effect": True},
    {"kind": "status", "status": 429, "retry_after": 0.1},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503, "after_effect": True},
    {"kind": "slow_body", "seconds": 0.3},
    {"kind": "html"},
    {"kind": "empty", "after_effect": True},
)
"""What FS and WISEflow do now and then, all day. LaaS and Slack only refuse: what they get twice is our own faults' doing."""


def rules() -> list[dict[str, Any]]:
    """The neighbours' own faults, for the simulators."""
    return [
        *({"system": system, "probability": EACH, **bad} for system in ("fs", "wiseflow") for bad in BAD_ANSWERS),
        {"system": "fs", "method": "POST", "kind": "latency", "seconds": 1.5, "probability": SLOW_REGISTRATIONS},
        {"system": "wiseflow", "kind": "expired_token", "probability": EACH / 10},
        {"system": "laas", "kind": "drop", "probability": EACH},
        {"system": "slack", "kind": "drop", "probability": 0.3},
    ]


class Faults:
    """Strikes what is due and mends what has lasted long enough; `struck` counts, and `severed` counts cut connections."""

    def __init__(self, installation: Installation, planned: Sequence[Fault]) -> None:
        self._installation = installation
        self._planned = list(planned)
        self._to_mend: list[tuple[float, Callable[[], None]]] = []
        self.struck: Counter[FaultKind] = Counter()
        self.severed = 0

    @property
    def are_over(self) -> bool:
        return not self._planned and not self._to_mend

    def go_on(self, done: float) -> None:
        """`done` is the part of the work that is done."""
        while self._planned and self._planned[0].at <= done and not self._must_wait(self._planned[0]):
            self._strike(self._planned.pop(0))
        now = time.monotonic()
        for when, mend in [each for each in self._to_mend if each[0] <= now]:
            self._to_mend.remove((when, mend))
            mend()

    def _must_wait(self, fault: Fault) -> bool:
        """Whether nobody is there to be killed, because all were killed just now and start again soon."""
        is_alive = any(process.is_alive() for process in self._installation.processes)
        return fault.kind is FaultKind.KILL and not is_alive and bool(self._to_mend)

    def mend_everything(self) -> None:
        """No more faults, and none that lasts; the clocks stay as they are."""
        self._planned.clear()
        for _, mend in self._to_mend:
            mend()
        self._to_mend.clear()

    def _strike(self, fault: Fault) -> None:
        what, mend = self._do(fault)
        sys.stderr.write(f"  {fault.at:4.0%} {fault.kind}: {what}, {fault.seconds:.1f} s\n")
        self.struck[fault.kind] += 1
        self.severed += self._severed(fault, what)
        self._to_mend.append((time.monotonic() + fault.seconds, mend))

    def _do(self, fault: Fault) -> tuple[str, Callable[[], None]]:
        match fault.kind:
            case FaultKind.KILL:
                process = self._one_of([one for one in self._installation.processes if one.is_alive()], fault)
                process.kill()
                return process.name, lambda: None if process.is_alive() else process.start()
            case FaultKind.FREEZE:
                process = self._one_of(self._installation.processes, fault)
                process.freeze()
                return process.name, process.thaw
            case FaultKind.DROP | FaultKind.STALL:
                name, proxy = self._proxy(fault)
                (proxy.drop if fault.kind is FaultKind.DROP else proxy.stall)()
                return name, proxy.mend
            case FaultKind.SERVER_RESTART:
                server = self._installation.server.embedded
                assert server is not None, "a server by address is not planned to be killed"
                server.child.kill()
                return "MongoDB", lambda: None if server.child.process.poll() is None else server.restart()
            case FaultKind.CLOCK_JUMP:
                process = self._one_of(self._installation.processes, fault)
                process.set_clock_wrong(fault.shift)
                return f"{process.name} by {fault.shift / 3600:+.1f} h", lambda: None

    def _severed(self, fault: Fault, what: str) -> int:
        """A neighbour's proxy carries every listener's connection: cutting it is as many cuts."""
        if fault.kind not in (FaultKind.DROP, FaultKind.STALL):
            return 0
        return LISTENERS if what in self._installation.proxies else 1

    def _one_of(self, processes: list[Process], fault: Fault) -> Process:
        if not processes:
            logs = "".join(f"{one.name}:\n{one.child.log_end()}\n" for one in self._installation.processes)
            raise RuntimeError(f"every process has ended by itself:\n{logs}")
        return processes[int(fault.lot * len(processes))]

    def _proxy(self, fault: Fault) -> tuple[str, Proxy]:
        """To a neighbour or between a process and the database, one as often as the other."""
        neighbours = list(self._installation.proxies.items())
        databases = [(f"{process.name} to MongoDB", process.proxy) for process in self._installation.processes]
        half, place = divmod(fault.lot * 2, 1.0)
        chosen = neighbours if half < 1 else databases
        return chosen[int(place * len(chosen))]
