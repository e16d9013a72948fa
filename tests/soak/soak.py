"""One soak from its start to its result."""

import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.soak.checks import Checks, balance
from tests.soak.data_faults import DataFault
from tests.soak.evidence import keep
from tests.soak.installation import ROOT, Installation, running_installation
from tests.soak.plan import FaultKind
from tests.soak.scenario import Scenario

FAILURES: Final = ("lost", "twice", "out_of_order", "audit_gaps", "wrong_text", "untold")

EVIDENCE: Final = ROOT / ".casebridge" / "soak"


@dataclass(frozen=True)
class Result:
    """What the soak came to: the counts that must be 0, what it took, and where the evidence is of one that fell short."""

    messages: int
    lost: int
    twice: int
    out_of_order: int
    audit_gaps: int
    wrong_text: int
    untold: int
    redelivered: int
    kills: int
    freezes: int
    cuts: int
    server_restarts: int
    data_faults: int
    seed: int
    wall_s: float
    evidence: str | None = None

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_good(self) -> bool:
        """A kill between call and record may send again where the other end cannot tell; nothing else may."""
        is_bounded = self.redelivered <= self.kills + self.freezes + self.cuts
        return is_bounded and not any(getattr(self, name) for name in FAILURES)


@dataclass(frozen=True)
class Report:
    """A soak's result, and what shows that it was one."""

    result: Result
    faults: Counter[FaultKind]
    bad_answers: set[tuple[str, str]]
    """Which neighbours answered badly, and how."""
    data_faults: Counter[DataFault]
    exit_codes: dict[str, int]
    """How the last processes ended when they were asked to."""


def soak(*, messages: int, seconds: float, seed: int, evidence: Path = EVIDENCE) -> Report:
    """At least so many messages: a request and an answer for each case, and later versions of some.

    One that falls short leaves what it knows below `evidence`.
    """
    kept: Path | None = None
    began = time.monotonic()
    requests = -(-messages // 2)
    sys.stderr.write(f"soak: {requests} requests, the bad part at most {seconds:.0f} s, seed {seed}\n")
    with running_installation(seed, requests) as installation:
        if installation.server.embedded is None:
            sys.stderr.write(
                "  the server is given by address: it is not killed, and its databases are dropped at the end\n"
            )
        scenario = Scenario(installation, seed, messages, requests)
        scenario.run(seconds)
        exit_codes = _stop(installation)
        checks = balance(installation.world, scenario.planted)
        if any(getattr(checks, name) for name in FAILURES):
            _tell_of_processes(installation)
            kept = keep(installation, checks, evidence, seed)
    _tell(checks, scenario)
    if kept:
        sys.stderr.write(f"  kept for looking up: {kept}\n")
    struck = scenario.faults.struck
    result = Result(
        messages=checks.messages,
        lost=checks.lost,
        twice=checks.twice,
        out_of_order=checks.out_of_order,
        audit_gaps=checks.audit_gaps,
        wrong_text=checks.wrong_text,
        untold=checks.untold,
        redelivered=checks.redelivered,
        kills=struck[FaultKind.KILL],
        freezes=struck[FaultKind.FREEZE],
        cuts=scenario.faults.severed,
        server_restarts=struck[FaultKind.SERVER_RESTART],
        data_faults=scenario.data.done.total(),
        seed=seed,
        wall_s=round(time.monotonic() - began, 1),
        evidence=str(kept) if kept else None,
    )
    return Report(result, struck, scenario.bad_answers, scenario.data.done, exit_codes)


def _stop(installation: Installation) -> dict[str, int]:
    exit_codes = {process.name: process.stop() for process in installation.processes}
    for process in installation.processes:
        if code := exit_codes[process.name]:
            sys.stderr.write(f"  {process.name} ended with {code}:\n{process.child.log_end()}\n")
    return exit_codes


def _tell_of_processes(installation: Installation) -> None:
    """The ends of their logs, and what is left in the queue: the folder goes with the processes."""
    for process in installation.processes:
        sys.stderr.write(f"--- {process.name}\n{process.child.log_end(30)}\n")
    for message in installation.world.database.messages.find({}, {"payload": 0, "steps": 0}).limit(5):
        sys.stderr.write(f"--- {message}\n")


def _tell(checks: Checks, scenario: Scenario) -> None:
    """What the counts are made of, for whoever must find out why."""
    for name, parts in checks.why.items():
        found = ", ".join(f"{len(names)} {what}" for what, names in parts.items() if names)
        sys.stderr.write(f"  {name}: {found or 'none'}\n")
    replayed = ", ".join(f"{count} {code}" for code, count in sorted(scenario.replayed.items()))
    sys.stderr.write(f"  replayed as an operator would: {replayed or 'none'}\n")
    sys.stderr.write(f"  clock jumps: {scenario.faults.struck[FaultKind.CLOCK_JUMP]}\n")
