"""How each kind of fault is injected, and undone when its time has passed."""

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
"""The part of the registrations that FS delays, so that a newer answer could overtake an older one."""
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
"""Bad answers of FS and WISEflow. LaaS and Slack only refuse calls, so what they get twice comes from our own faults."""


def rules() -> list[dict[str, Any]]:
    """The bad answers, as rules of the simulators."""
    return [
        *({"system": system, "probability": EACH, **bad} for system in ("fs", "wiseflow") for bad in BAD_ANSWERS),
        {"system": "fs", "method": "POST", "kind": "latency", "seconds": 1.5, "probability": SLOW_REGISTRATIONS},
        {"system": "wiseflow", "kind": "expired_token", "probability": EACH / 10},
        {"system": "laas", "kind": "drop", "probability": EACH},
        {"system": "slack", "kind": "drop", "probability": 0.3},
    ]


class Faults:
    """Injects the faults that are due and undoes those whose time has passed.

    `injected` counts the faults, `connections_cut` the connections that they cut.
    """

    def __init__(self, installation: Installation, planned: Sequence[Fault]) -> None:
        self._installation = installation
        self._planned = list(planned)
        self._to_undo: list[tuple[float, Callable[[], None]]] = []
        self.injected: Counter[FaultKind] = Counter()
        self.connections_cut = 0

    @property
    def are_over(self) -> bool:
        return not self._planned and not self._to_undo

    def advance(self, done: float) -> None:
        """`done` is the part of the work that is done."""
        while self._planned and self._planned[0].at <= done and not self._must_be_postponed(self._planned[0]):
            self._inject(self._planned.pop(0))
        now = time.monotonic()
        for when, undo in [each for each in self._to_undo if each[0] <= now]:
            self._to_undo.remove((when, undo))
            undo()

    def _must_be_postponed(self, fault: Fault) -> bool:
        """Whether a kill finds no process, because all were killed just now and start again soon."""
        is_alive = any(process.is_alive() for process in self._installation.processes)
        return fault.kind is FaultKind.KILL and not is_alive and bool(self._to_undo)

    def undo_everything(self) -> None:
        """Inject no more faults and undo all. The clocks stay as they are."""
        self._planned.clear()
        for _, undo in self._to_undo:
            undo()
        self._to_undo.clear()

    def _inject(self, fault: Fault) -> None:
        what, undo = self._do(fault)
        sys.stderr.write(f"  {fault.at:4.0%} {fault.kind}: {what}, {fault.seconds:.1f} s\n")
        self.injected[fault.kind] += 1
        self.connections_cut += self._connections_cut(fault, what)
        self._to_undo.append((time.monotonic() + fault.seconds, undo))

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

    def _connections_cut(self, fault: Fault, what: str) -> int:
        """All listeners use the proxy before a system, so a cut there counts once for each."""
        if fault.kind not in (FaultKind.DROP, FaultKind.STALL):
            return 0
        return LISTENERS if what in self._installation.proxies else 1

    def _one_of(self, processes: list[Process], fault: Fault) -> Process:
        if not processes:
            logs = "".join(f"{one.name}:\n{one.child.log_end()}\n" for one in self._installation.processes)
            raise RuntimeError(f"every process has ended by itself:\n{logs}")
        return processes[int(fault.choice * len(processes))]

    def _proxy(self, fault: Fault) -> tuple[str, Proxy]:
        """One before a system or one between a process and the database, each as often as the other."""
        systems = list(self._installation.proxies.items())
        databases = [(f"{process.name} to MongoDB", process.proxy) for process in self._installation.processes]
        half, place = divmod(fault.choice * 2, 1.0)
        chosen = systems if half < 1 else databases
        return chosen[int(place * len(chosen))]
