"""The simulators of a measurement: institutions with their requests, and assessors who answer at once."""

from typing import Any

from bench.installation import Installation
from demo.institutions import configuration, secrets
from simulators.process import RunningSimulators

SEED = 1
SLACK_TOKEN = "xoxb-simulated"  # noqa: S105 - the simulator takes anything


class Simulation:
    """One installation that works with the simulators. `populate` gives both new data."""

    def __init__(self, installation: Installation, simulators: RunningSimulators) -> None:
        self.installation = installation
        self.control = simulators.control
        self._addresses = simulators.addresses
        installation.servers["simulators"] = simulators.pid
        # Index entries and alerts are sent as in production. No measurement waits for them.
        installation.configure("laas", url=simulators.addresses["laas"])
        installation.configure(
            "slack", token=SLACK_TOKEN, api_url=simulators.addresses["slack_api"], seconds_between=0.0
        )

    def populate(
        self, requests: int, *, institutions: int = 12, courses: int | None = None, hold: bool = False
    ) -> dict[str, Any]:
        """Make the same institutions and requests each time. All requests are valid, so every one ends as registered.

        `hold`: the requests appear in FS when `control.release` says so.
        """
        population = self.control.population(
            institutions=institutions,
            courses=courses or max(institutions, requests // 10),
            requests=requests,
            oddities=False,
            hold=hold,
            seed=SEED,
        )
        self.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
        orgs, environments = configuration(population, self._addresses)
        database = self.installation.database
        for collection, documents in ((database.orgs, orgs), (database.environments, environments)):
            collection.delete_many({})
            collection.insert_many(documents)
        self.installation.secrets = secrets(population)
        return population

    def check_all_registered(self, requests: int) -> None:
        """Check that every request was registered rightly: a figure counts only for right work.

        Raises `RuntimeError` otherwise.
        """
        summary = self.control.summary()
        wrong = {
            name: summary[name]
            for name in ("outstanding", "registered_twice", "registered_too_early", "wrong_text", "stale_text")
            if summary[name]
        }
        if wrong or summary["registered"] != requests:
            raise RuntimeError(f"of {requests} requests {summary['registered']} are registered; wrong: {wrong}")
