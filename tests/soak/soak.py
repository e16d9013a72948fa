"""One soak from its start to its result."""

import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.soak.checks import Checks, count_all
from tests.soak.data_faults import DataFault
from tests.soak.evidence import keep
from tests.soak.installation import ROOT, Installation, running_installation
from tests.soak.plan import FaultKind
from tests.soak.scenario import Scenario

FAILURES: Final = ("lost", "twice", "out_of_order", "audit_gaps", "wrong_text", "untold")

EVIDENCE: Final = ROOT / ".casebridge" / "soak"


@dataclass(frozen=True)
class Result:
    """The result: the counts that must be 0, the faults that were injected, and the folder of the evidence if it failed."""

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
        """LaaS and Slack may get something twice, at most once for each kill, freeze and cut. Nothing else may."""
        is_bounded = self.redelivered <= self.kills + self.freezes + self.cuts
        return is_bounded and not any(getattr(self, name) for name in FAILURES)


@dataclass(frozen=True)
class Report:
    """The result of a soak, and what shows that the faults happened."""

    result: Result
    faults: Counter[FaultKind]
    bad_answers: set[tuple[str, str]]
    """The systems that answered badly, and how."""
    data_faults: Counter[DataFault]
    exit_codes: dict[str, int]
    """The exit codes of the last processes, which were asked to end."""


def soak(*, messages: int, seconds: float, seed: int, evidence: Path = EVIDENCE) -> Report:
    """Run a soak with at least so many messages: a request and an answer for each case, and later versions of some.

    If it fails, it leaves files below `evidence`.
    """
    kept: Path | None = None
    began = time.monotonic()
    requests = -(-messages // 2)
    sys.stderr.write(f"soak: {requests} requests, the part with faults at most {seconds:.0f} s, seed {seed}\n")
    with running_installation(seed, requests) as installation:
        if installation.server.embedded is None:
            sys.stderr.write(
                "  the server is given by address: it is not killed, and its databases are dropped at the end\n"
            )
        scenario = Scenario(installation, seed, messages, requests)
        scenario.run(seconds)
        exit_codes = _stop(installation)
        checks = count_all(installation.world, scenario.foreign)
        if any(getattr(checks, name) for name in FAILURES):
            _print_process_logs(installation)
            kept = keep(installation, checks, evidence, seed)
    _print_findings(checks, scenario)
    if kept:
        sys.stderr.write(f"  evidence: {kept}\n")
    injected = scenario.faults.injected
    result = Result(
        messages=checks.messages,
        lost=checks.lost,
        twice=checks.twice,
        out_of_order=checks.out_of_order,
        audit_gaps=checks.audit_gaps,
        wrong_text=checks.wrong_text,
        untold=checks.untold,
        redelivered=checks.redelivered,
        kills=injected[FaultKind.KILL],
        freezes=injected[FaultKind.FREEZE],
        cuts=scenario.faults.connections_cut,
        server_restarts=injected[FaultKind.SERVER_RESTART],
        data_faults=scenario.data.done.total(),
        seed=seed,
        wall_s=round(time.monotonic() - began, 1),
        evidence=str(kept) if kept else None,
    )
    return Report(result, injected, scenario.bad_answers, scenario.data.done, exit_codes)


def _stop(installation: Installation) -> dict[str, int]:
    exit_codes = {process.name: process.stop() for process in installation.processes}
    for process in installation.processes:
        if code := exit_codes[process.name]:
            sys.stderr.write(f"  {process.name} ended with {code}:\n{process.child.log_end()}\n")
    return exit_codes


def _print_process_logs(installation: Installation) -> None:
    """The ends of their logs and what is left in the queue. The folder of the logs is removed with the processes."""
    for process in installation.processes:
        sys.stderr.write(f"--- {process.name}\n{process.child.log_end(30)}\n")
    for message in installation.world.database.messages.find({}, {"payload": 0, "steps": 0}).limit(5):
        sys.stderr.write(f"--- {message}\n")


def _print_findings(checks: Checks, scenario: Scenario) -> None:
    """The findings of each count."""
    for name, parts in checks.why.items():
        found = ", ".join(f"{len(names)} {what}" for what, names in parts.items() if names)
        sys.stderr.write(f"  {name}: {found or 'none'}\n")
    replayed = ", ".join(f"{count} {code}" for code, count in sorted(scenario.replayed.items()))
    sys.stderr.write(f"  replayed as by an operator: {replayed or 'none'}\n")
    sys.stderr.write(f"  clock jumps: {scenario.faults.injected[FaultKind.CLOCK_JUMP]}\n")
