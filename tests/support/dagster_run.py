"""A Dagster run in a process of its own: the real definitions and a real Dagster home, but no Dagster server.

Loading the definitions takes seconds. So the processes are forked from one that has loaded them. A forked process opens its
own connections.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from casebridge.crash_points import SimulatedCrashError
from orchestration.build import build_defs
from tests.support.forked_processes import enter, forked, load_once
from tests.support.processes import Crash
from tests.support.world import World

RUN_SECONDS = 60.0
load_once(__name__)


class DagsterRuns:
    """Starts runs in one world and one Dagster home."""

    def __init__(self, world: World, home: Path) -> None:
        self._world = world
        self._home = home
        self.log = home / "runs.log"

    def crashed(self, job: str, crash: Crash) -> None:
        """Run a job that must reach its crash point: it is killed there by SIGKILL, or fails there with an error."""
        length_before = len(self._logged())
        exit_code = self._run(job, crash.environment())
        logged = self._logged()[length_before:]
        reached = exit_code == -signal.SIGKILL if crash.kind == "kill" else SimulatedCrashError.__name__ in logged
        assert reached, f"it never came to {crash}:\n{logged[-3000:]}"

    def _logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def run(self, job: str) -> int:
        """Run a job to its end. The exit code is 0 if it succeeded."""
        return self._run(job, {})

    def _run(self, job: str, more: Mapping[str, str]) -> int:
        environment = {**self._world.environment(), **more, "DAGSTER_HOME": str(self._home)}
        process = forked(_execute, (job, {**os.environ, **environment}, self.log))
        process.join(RUN_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"the run of {job} took longer than {RUN_SECONDS:.0f} s")
        return process.exitcode


def _execute(job: str, environment: Mapping[str, str], log: Path) -> None:
    """Execute the job in the new process, and exit."""
    enter(environment, log, log)
    with dg.DagsterInstance.get() as instance:
        raise SystemExit(0 if execute(job, instance) else 1)


def execute(job: str, instance: dg.DagsterInstance) -> bool:
    """Run a job in this process. Returns whether it succeeded."""
    return build_defs().resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False).success
