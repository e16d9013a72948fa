"""What each measurement gets: the MongoDB-protocol server of the run, child processes, and the sizes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.installation import MongoDBServer
from bench.row import Row
from local_servers.child_process import Children


@dataclass(frozen=True)
class Sizes:
    """How much each row measures. `quick()` is the smallest size that still runs every line: for tests, not for figures."""

    rounds: int = 3
    messages: int = 2000
    cases: int = 300
    observed_cases: int = 1600
    """Carried for each row of what metrics and traces cost."""
    idle_events: int = 60
    loaded_events: int = 240
    dagster_events: int = 5
    sync_requests: int = 3000
    sync_calls: int = 8
    """Calls that the synchronisation may make at once, polls and messages together."""
    stored: tuple[int, ...] = (10_000, 100_000)
    growth_messages: int = 1000
    lease_seconds: float = 5.0
    written_messages: int = 500
    written_cases: int = 100

    @classmethod
    def quick(cls) -> "Sizes":
        return cls(
            rounds=1,
            messages=40,
            cases=12,
            observed_cases=12,
            idle_events=2,
            loaded_events=2,
            dagster_events=1,
            sync_requests=60,
            sync_calls=16,
            stored=(100, 400),
            growth_messages=40,
            lease_seconds=1.0,
            written_messages=40,
            written_cases=6,
        )


@dataclass
class BenchContext:
    """The argument of each measurement. `whole_cases` sets `whole_cases_a_second`; `latency` uses it."""

    server: MongoDBServer
    children: Children
    sizes: Sizes
    report_progress: Callable[[str], None]
    whole_cases_a_second: float | None = field(default=None)


Measurement = Callable[[BenchContext], Iterable[Row]]
