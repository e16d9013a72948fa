"""Institutions whose credentials are refused: their messages are passed over until the credentials work again.

One document an institution and exam system in `oai.pauses`, by its tenant key. A trial of the credentials lifts a pause, not a
person. Earlier versions paused an institution as a whole, `uis.no/prod`: such a pause holds all its exam systems back, until its
trial says which of them it is about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import AuthBrokenError
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.settings import QueueSettings
from casebridge.tenant import normal_institution, tenant_key

UNKNOWN_CAUSE: Final = "casebridge.pause_unreadable"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MOST_DOUBLED: Final = 30
"""So often the wait is doubled at most: two to the power of the trials of a year is no number of seconds."""


@dataclass(frozen=True)
class Pause:
    """One institution that waits for its credentials. `exam_system` is `None` in a pause of an earlier version: all of them."""

    key: str
    institution: str
    exam_system: str | None
    system: str
    code: str
    cause: str
    since: datetime
    trials: int

    @classmethod
    def of(cls, row: Document, trials: int) -> "Pause":
        return cls(
            row["_id"],
            normal_institution(str(row.get("institution") or row["_id"])),
            row.get("examSystem"),
            str(row.get("system") or ""),
            str(row.get("code") or UNKNOWN_CAUSE),
            str(row.get("cause") or "Why is not known."),
            since if isinstance(since := row.get("since"), datetime) else EPOCH,
            trials,
        )

    @property
    def who(self) -> str:
        """The key of whose messages it holds back: a tenant, or an institution as a whole."""
        return self.institution if self.exam_system is None else tenant_key(self.institution, self.exam_system)


class Pauses:
    """Thread-safe; the set of paused institutions is small and read before each claim."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: QueueSettings,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
    ) -> None:
        """Only pauses of the environment that is `served` are taken for a trial."""
        self._pauses = database.pauses
        self._clock = clock
        self._settings = settings
        self._served = served

    def pause(self, institution: str, exam_system: str, error: AuthBrokenError) -> bool:
        """Pause an institution on one exam system; `False` if it was paused already."""
        now = self._clock.now()
        there = insert_absent(
            self._pauses,
            [
                {
                    "_id": tenant_key(institution, exam_system),
                    "institution": normal_institution(institution),
                    "examSystem": exam_system,
                    "system": error.system or "",
                    "code": error.code,
                    "cause": error.cause,
                    "since": now,
                    "trials": 0,
                    "tryAt": now + timedelta(seconds=self._settings.probe_seconds),
                }
            ],
        )
        return not there

    def paused(self) -> frozenset[str]:
        """Tenant keys, and names of institutions that are paused as a whole: pass both over."""
        return frozenset(pause.who for pause in self.all())

    def all(self) -> list[Pause]:
        return [Pause.of(row, _trials(row)) for row in self._pauses.find().sort("_id", 1)]

    def take_due_trials(self, institution: str | None = None, exam_system: str | None = None) -> list[Pause]:
        """The pauses (that hold one institution's exam system back, or all) whose credentials are to be tried now.

        Each is handed to one caller only; those of an environment that is not served to none.
        """
        now = self._clock.now()
        wanted = (
            None if institution is None else {normal_institution(institution), tenant_key(institution, exam_system)}
        )
        due = []
        # Not "until now": a pause that another program wrote without a time would last for ever.
        for row in self._pauses.find({"tryAt": {"$not": {"$gt": now}}}):
            trials = _trials(row)
            pause = Pause.of(row, trials + 1)
            if not self._served.serves(pause.institution) or (wanted is not None and pause.who not in wanted):
                continue
            wait = min(
                self._settings.probe_cap_seconds, self._settings.probe_seconds * 2 ** min(trials + 1, MOST_DOUBLED)
            )
            taken = self._pauses.update_one(
                {"_id": row["_id"], "tryAt": row.get("tryAt")},
                {"$set": {"tryAt": now + timedelta(seconds=wait), "trials": trials + 1}},
            )
            if taken.modified_count:
                due.append(pause)
        return due

    def lift(self, pause: Pause) -> None:
        self._pauses.delete_one({"_id": pause.key})

    def narrow(self, pause: Pause, exam_systems: Iterable[str]) -> None:
        """A pause of the whole institution turns out to be about these exam systems only. Right when applied twice."""
        row = self._pauses.find_one({"_id": pause.key})
        if row is not None:
            narrowed = [
                {
                    **row,
                    "_id": tenant_key(pause.institution, exam_system),
                    "institution": pause.institution,
                    "examSystem": exam_system,
                }
                for exam_system in exam_systems
            ]
            insert_absent(self._pauses, narrowed)
            self.lift(pause)


def _trials(row: Document) -> int:
    trials = row.get("trials")
    return max(0, trials) if isinstance(trials, int) else 0
