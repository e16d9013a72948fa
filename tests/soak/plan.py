"""The faults, their order, and the point of the work at which each happens. The seed decides, not the speed of the machine."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FIRST, LAST = 0.03, 0.9
"""No fault happens before this part of the work is done, and none after that one."""
HOUR: Final = 3600.0


class FaultKind(StrEnum):
    """The kinds of fault."""

    KILL = "kill"
    FREEZE = "freeze"
    DROP = "drop"
    STALL = "stall"
    SERVER_RESTART = "server restart"
    CLOCK_JUMP = "clock jump"


@dataclass(frozen=True)
class Fault:
    """One fault: it happens when the part `at` of the work is done. `choice` in [0, 1) selects its process or proxy."""

    at: float
    kind: FaultKind
    seconds: float
    choice: float
    shift: float = 0.0
    """For a clock: how many seconds it is wrong from then on."""


MESSAGES_FOR_ONE: Final = {
    FaultKind.KILL: 400,
    FaultKind.FREEZE: 500,
    FaultKind.DROP: 800,
    FaultKind.STALL: 800,
    FaultKind.SERVER_RESTART: 2500,
    FaultKind.CLOCK_JUMP: 1000,
}
FEWEST: Final = {
    FaultKind.KILL: 4,
    FaultKind.FREEZE: 3,
    FaultKind.DROP: 3,
    FaultKind.STALL: 3,
    FaultKind.SERVER_RESTART: 2,
    FaultKind.CLOCK_JUMP: 3,
}
LONGEST_SECONDS: Final = {
    FaultKind.KILL: 1.5,  # until there is another process in its place
    FaultKind.FREEZE: 9.0,  # well beyond the lease
    FaultKind.DROP: 3.0,
    FaultKind.STALL: 6.0,
    FaultKind.SERVER_RESTART: 1.5,
    FaultKind.CLOCK_JUMP: 0.0,  # it stays wrong until the next jump
}


def plan(seed: int, messages: int, without: frozenset[FaultKind] = frozenset()) -> list[Fault]:
    """The faults, in order. The kinds in `without` are drawn as well and left out, so that the others stay the same."""
    draws = random.Random(f"{seed}:faults")  # noqa: S311 - a seed must repeat it
    faults = [
        Fault(
            at=draws.uniform(FIRST, LAST),
            kind=kind,
            seconds=draws.uniform(0.0, LONGEST_SECONDS[kind]),
            choice=draws.random(),
            shift=draws.choice((-1, 1)) * draws.uniform(0.5, 30.0) * HOUR if kind is FaultKind.CLOCK_JUMP else 0.0,
        )
        for kind in FaultKind
        for _ in range(max(FEWEST[kind], messages // MESSAGES_FOR_ONE[kind]))
    ]
    return sorted((fault for fault in faults if fault.kind not in without), key=lambda fault: fault.at)
