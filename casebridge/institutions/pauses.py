"""Pauses of tenants whose credentials are refused. Their messages are not claimed until the credentials work again.

`oai.pauses` has one document for each pause, with the tenant's key. A probe of the credentials ends a pause; people need not.

- A pause of an exam system blocks the messages of the institution on that system.
- A pause without an exam system (`tenant.NO_EXAM_SYSTEM`) blocks messages of capabilities that have no exam system. It has no
  credentials of its own to probe: when its probe is due, the pause ends, and the next message is the probe.
- A pause of an earlier version names only the institution, `uis.no/prod`. It blocks all messages of the institution, until its
  probe finds out which exam system it is about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import AuthBrokenError
from casebridge.messaging.queue.message import LONG_AGO, is_count, moment_of
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.settings import QueueSettings
from casebridge.tenant import normal_institution, tenant_key

UNKNOWN_CAUSE: Final = "casebridge.pause_unreadable"
MOST_DOUBLINGS: Final = 30
"""The limit for the doublings of the wait between probes. Every cap of the settings is reached long before."""


@dataclass(frozen=True)
class Pause:
    """One pause. In a pause of an earlier version `exam_system` is `None`, which means all exam systems."""

    key: Any
    institution: str
    exam_system: str | None
    system: str
    code: str
    cause: str
    since: datetime
    probes: int

    @classmethod
    def of(cls, row: Document, probes: int) -> "Pause":
        """Never raises: a row that somebody changed by hand must not block other tenants."""
        exam_system = row.get("examSystem")
        system, code, cause = (
            value if isinstance(value := row.get(name), str) else otherwise
            for name, otherwise in (("system", ""), ("code", UNKNOWN_CAUSE), ("cause", "Why is not known."))
        )
        return cls(
            row["_id"],
            normal_institution(row.get("institution", row["_id"])),
            exam_system if isinstance(exam_system, str) else None,
            system,
            code,
            cause,
            moment_of(row, "since") or LONG_AGO,
            probes,
        )

    @property
    def who(self) -> str:
        """The key of the tenant whose messages the pause blocks, or the name of the institution if it blocks all of them."""
        return self.institution if self.exam_system is None else tenant_key(self.institution, self.exam_system)


class Pauses:
    """Reads and writes `oai.pauses`. Thread-safe. The collection is small and is read before each claim."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: QueueSettings,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
    ) -> None:
        """Only pauses of the environment that is `served` are probed."""
        self._pauses = database.pauses
        self._clock = clock
        self._settings = settings
        self._served = served

    def pause(self, institution: str, exam_system: str, error: AuthBrokenError) -> bool:
        """Pause an institution on one exam system. Return `False` if it was paused already."""
        now = self._clock.now()
        existing = insert_absent(
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
        return not existing

    def paused(self) -> frozenset[str]:
        """The keys of paused tenants, and the names of institutions that are paused as a whole."""
        return frozenset(pause.who for pause in self.all())

    def all(self) -> list[Pause]:
        return [Pause.of(row, _probes(row)) for row in self._pauses.find().sort("_id", 1)]

    def take_due_probes(self, institution: str | None = None, exam_system: str | None = None) -> list[Pause]:
        """The pauses whose credentials must be probed now: all, or those that block one institution's exam system.

        Only one caller gets each due pause. Pauses of an environment that is not served are left out.
        """
        now = self._clock.now()
        wanted = (
            None if institution is None else {normal_institution(institution), tenant_key(institution, exam_system)}
        )
        due = []
        for row in self._pauses.find():
            pause = Pause.of(row, _probes(row) + 1)
            if (
                not self._is_due(row, now)
                or not self._served.serves(pause.institution)
                or (wanted is not None and pause.who not in wanted)
            ):
                continue
            doublings = min(pause.probes, MOST_DOUBLINGS)
            wait = min(self._settings.probe_cap_seconds, self._settings.probe_seconds * 2**doublings)
            taken = self._pauses.update_one(
                {"_id": {"$eq": row["_id"]}, "tryAt": {"$eq": row.get("tryAt")}},
                {"$set": {"tryAt": now + timedelta(seconds=wait), "trials": pause.probes}},
            )
            if taken.modified_count:
                due.append(pause)
        return due

    def _is_due(self, row: Document, now: datetime) -> bool:
        """Whether the probe is due. It is also due if the stored time is missing, or later than any release sets it.

        Otherwise such a pause would never end.
        """
        try_at = moment_of(row, "tryAt")
        longest = timedelta(seconds=max(self._settings.probe_seconds, self._settings.probe_cap_seconds))
        return try_at is None or try_at <= now or try_at > now + 2 * longest

    def lift(self, pause: Pause) -> None:
        self._pauses.delete_one({"_id": {"$eq": pause.key}})

    def narrow(self, pause: Pause, exam_systems: Iterable[str]) -> None:
        """Replace a pause of the whole institution by pauses of these exam systems. Calling it twice is harmless."""
        row = self._pauses.find_one({"_id": {"$eq": pause.key}})
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


def _probes(row: Document) -> int:
    return int(row["trials"]) if is_count(row.get("trials")) else 0
