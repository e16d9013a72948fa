"""Casebridge among simulated systems: a test populates them, runs casebridge and checks the results."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from pydantic import BaseModel, SecretStr

from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.secrets import Secrets
from casebridge.settings import (
    LaasSettings,
    MongoDBSettings,
    QueueSettings,
    RatesSettings,
    Settings,
    SlackSettings,
)
from demo.institutions import configuration, secrets
from resources.wiring.process import Process
from simulators.process import RunningSimulators
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.waiting import wait_until

SHORT_WAITS = {
    "lease_seconds": 60.0,  # not short: a machine that stops for seconds must not make another worker take over
    "retry_base_seconds": 0.02,
    "retry_cap_seconds": 0.2,
    "not_ready_seconds": 0.1,
    "idle_poll_seconds": 0.05,
    "probe_seconds": 0.1,
    "probe_cap_seconds": 0.5,
    "shutdown_seconds": 10.0,
}


def settings_for_tests(mongodb: MongoDBSettings, addresses: dict[str, str], **sections: dict[str, Any]) -> Settings:
    """Settings with short waits and the simulators' addresses. A test changes sections: `queue={"workers": 2}`."""
    return Settings(
        mongodb=mongodb,
        queue=QueueSettings(**{**SHORT_WAITS, **sections.pop("queue", {})}),
        rates=RatesSettings(**{"lease_seconds": 1.0, **sections.pop("rates", {})}),
        slack=SlackSettings(
            **{
                "token": "xoxb-simulated",
                "api_url": addresses["slack_api"],
                "webhook_url": addresses["slack_webhook"],
                "seconds_between": 0.0,
                **sections.pop("slack", {}),
            }
        ),
        laas=LaasSettings(**{"url": addresses["laas"], **sections.pop("laas", {})}),
        **sections,
    )


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment variables from which another process reads the same settings."""
    variables: dict[str, str] = {}

    def add(prefix: str, model: BaseModel) -> None:
        for name, value in model:
            key = f"{prefix}{name.upper()}"
            if isinstance(value, BaseModel):
                add(f"{key}__", value)
            elif isinstance(value, SecretStr):
                variables[key] = value.get_secret_value()
            elif isinstance(value, tuple):
                variables[key] = ",".join(value)
            elif value is not None and not isinstance(value, dict):
                variables[key] = str(value)

    add("CASEBRIDGE_", settings)
    return variables


class World:
    """One test's institutions in the databases and the simulators, and the processes of casebridge between them."""

    def __init__(
        self, database: Database, settings_for: Callable[..., Settings], simulators: RunningSimulators
    ) -> None:
        self.database = database
        self.control = simulators.control
        self.addresses = simulators.addresses
        self._settings_for = settings_for
        self.secrets: dict[str, str] = {}
        self.settings = settings_for()
        self._processes: list[Process] = []

    def __enter__(self) -> "World":
        self.control.clear_faults()
        self._modes = self.control.modes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.control.clear_faults()
        self.control.rates()
        self.control.modes(**self._modes)
        self.stop()

    def stop(self) -> None:
        """Close all processes, as before a restore. Until then their background threads write to the database."""
        while self._processes:
            self._processes.pop().close()

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change settings for the processes that are built from now on."""
        self.settings = self._settings_for(**sections)

    def populate(self, **order: Any) -> dict[str, Any]:
        """Make a population in the simulators and install its institutions. Assessors answer at once."""
        defaults = {"institutions": 2, "courses": 4, "requests": 12, "oddities": False, "hold": False, "seed": 1}
        population = self.control.population(**{**defaults, **order})
        self.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
        orgs, environments = configuration(population, self.addresses)
        self.database.orgs.delete_many({})
        self.database.environments.delete_many({})
        self.database.orgs.insert_many(orgs)
        self.database.environments.insert_many(environments)
        self.secrets = secrets(population)
        return population

    def process(self, clock: Clock | None = None) -> Process:
        """A process with the settings and secrets of now. It is closed at the end of the test."""
        process = Process(self.settings, Secrets(self.secrets), clock)
        self._processes.append(process)
        return process

    def environment(self) -> dict[str, str]:
        """The environment that another process needs to use the same databases and simulators."""
        return {**as_environment(self.settings), **self.secrets}

    def send(self, process: Process) -> int:
        """Read FS and handle the messages. Returns how many messages were handled."""
        read_requests(process, process.stores.institutions.active())
        return process.synchronisation.run_batch().handled

    def synchronise(self, process: Process, *, also_answered: bool = False) -> int:
        """Send requests, let the assessors answer, poll for answers and register them.

        Returns how many messages were handled.
        """
        sent = self.send(process)
        self.control.wait("submitted", self.control.summary()["dispatched"])
        poll_answers(process, process.stores.institutions.active(), also_answered=also_answered)
        return sent + process.synchronisation.run_batch().handled

    def carry(self, process: Process, rounds: int = 3) -> None:
        """Synchronise until there is nothing to handle, at most `rounds` times."""
        for _ in range(rounds):
            if not self.synchronise(process):
                return

    def carry_until(self, process: Process, done: Callable[[], bool], what: str) -> None:
        """Synchronise until `done`, for messages that need several attempts."""

        def is_done_after_one_more() -> bool:
            self.synchronise(process)
            return done()

        wait_until(is_done_after_one_more, what)

    def audit(self, **selection: Any) -> list[dict[str, Any]]:
        return list(self.database.audit_log.find(selection).sort("time", 1))
