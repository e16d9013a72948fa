"""Institutions whose credentials are refused: their messages are passed over until the credentials work again.

One document an institution in `oai.pauses`. A pause is lifted by a trial of the credentials, not by a person.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import AuthBrokenError
from casebridge.settings import QueueSettings


@dataclass(frozen=True)
class Pause:
    """One institution that waits for its credentials."""

    institution: str
    system: str
    code: str
    cause: str
    since: datetime
    trials: int


class Pauses:
    """Thread-safe; the set of paused institutions is small and read before each claim."""

    def __init__(self, database: Database, clock: Clock, settings: QueueSettings) -> None:
        self._pauses = database.pauses
        self._clock = clock
        self._settings = settings

    def pause(self, institution: str, error: AuthBrokenError) -> bool:
        """Pause an institution; `False` if it was paused already."""
        now = self._clock.now()
        there = insert_absent(
            self._pauses,
            [
                {
                    "_id": institution,
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
        return frozenset(document["_id"] for document in self._pauses.find({}, {"_id": 1}))

    def all(self) -> list[Pause]:
        return [
            Pause(row["_id"], row["system"], row["code"], row["cause"], row["since"], row["trials"])
            for row in self._pauses.find().sort("_id", 1)
        ]

    def take_due_trials(self, institution: str | None = None) -> list[Pause]:
        """The pauses (of one institution, or all) whose credentials are to be tried now; each is handed to one caller only."""
        now = self._clock.now()
        selection: Document = {"tryAt": {"$lte": now}}
        if institution is not None:
            selection["_id"] = institution
        due = []
        for row in self._pauses.find(selection):
            wait = min(self._settings.probe_cap_seconds, self._settings.probe_seconds * 2 ** (row["trials"] + 1))
            taken = self._pauses.update_one(
                {"_id": row["_id"], "tryAt": row["tryAt"]},
                {"$set": {"tryAt": now + timedelta(seconds=wait), "trials": row["trials"] + 1}},
            )
            if taken.modified_count:
                due.append(Pause(row["_id"], row["system"], row["code"], row["cause"], row["since"], row["trials"] + 1))
        return due

    def lift(self, institution: str) -> None:
        self._pauses.delete_one({"_id": institution})
