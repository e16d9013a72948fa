"""The alerts that are owed, folded by cause, in `oai.alerts`: one document a cause, so that a crowd of failures is one alert.

Sending them is the relay's work (`messaging.relay`); which are muted is in `blacklist`.
"""

import uuid
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from casebridge.alerts.alert import Alert
from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.told_names import ALL_NAMES, ToldNames

NAMED_CASES: Final = 50
AHEAD: Final = timedelta(days=2)
"""Longer than any wait that Slack is granted; a later time was set by no release."""


class AlertOutbox:
    """Folding: within `fold` of its first alert a cause is only added to; after that it is told anew."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        fold: timedelta,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
        names: ToldNames = ALL_NAMES,
    ) -> None:
        """Only alerts of the environment that is `served` are claimed; what names none (Dagster's own) is anybody's.

        `names` says which names of institutions and submodules may be told.
        """
        self._names = names
        self._served = served
        self._alerts = database.alerts
        self._clock = clock
        self._fold = fold

    def owe(self, alert: Alert) -> None:
        """See to it that people hear of this. Right when applied twice."""
        alert = self._names.of_alert(alert)
        now = self._clock.now()
        cases = [alert.correlation_id] if alert.correlation_id else []
        opened: Document = {
            **alert.body(),
            "openedAt": now,
            "lastAt": now,
            "state": "owed",
            "dueAt": now,
            "correlationIds": cases,
        }
        try:
            self._alerts.insert_one({"_id": alert.fingerprint, **opened})
        except DuplicateKeyError:
            was_told = {"openedAt": {"$lte": now - self._fold}, "state": {"$ne": "owed"}}
            reopened = self._alerts.update_one(
                {"_id": alert.fingerprint, "$or": [was_told, *_unusable(now)]}, {"$set": opened}
            )
            if not reopened.modified_count and not self._add_case(alert, cases, now) and self._is_gone(alert):
                self.owe(alert)

    def _is_gone(self, alert: Alert) -> bool:
        """Pruned as told long ago, between our two looks: it must be told anew."""
        return self._alerts.find_one({"_id": alert.fingerprint}, {"_id": 1}) is None

    def _add_case(self, alert: Alert, cases: list[str], now: datetime) -> bool:
        change: Document = {"$set": {"lastAt": now}}
        if cases:
            change["$addToSet"] = {"correlationIds": {"$each": cases}}
        added = self._alerts.update_one(
            {"_id": alert.fingerprint, f"correlationIds.{NAMED_CASES - 1}": {"$exists": False}}, change
        )
        return added.matched_count > 0

    def claim(self, limit: int, hold: timedelta) -> list[Document]:
        """Served alerts that are due, held from other relays for `hold`."""
        now = self._clock.now()
        token = uuid.uuid4().hex
        due = self._alerts.find({"dueAt": {"$lte": now}}, {"institution": 1})
        # Picked out here: an alert has no field of its environment, and there are few, one a cause.
        ours = (document["_id"] for document in due if self._served.serves(document.get("institution")))
        keys = list(islice(ours, limit))
        if not keys:
            return []
        try:
            self._alerts.update_many(
                {"_id": {"$in": keys}, "dueAt": {"$lte": now}}, {"$set": {"dueAt": now + hold, "relay": token}}
            )
        except OperationFailure:
            return []  # a conflict with another relay: the next round sees what is left
        return [self._names.of_document(alert) for alert in self._alerts.find({"_id": {"$in": keys}, "relay": token})]

    def settle(self, document: Document, state: str) -> None:
        """`sent` or `muted`: nothing is due until the cause is told anew."""
        self._alerts.update_one(
            {"_id": document["_id"], "relay": document["relay"]},
            {"$set": {"state": state, "settledAt": self._clock.now()}, "$unset": {"dueAt": "", "relay": ""}},
        )

    def postpone(self, document: Document, wait: timedelta) -> None:
        self._alerts.update_one(
            {"_id": document["_id"], "relay": document["relay"]},
            {"$set": {"dueAt": self._clock.now() + wait}, "$unset": {"relay": ""}},
        )

    def owed(self) -> int:
        return self._alerts.count_documents({"state": "owed"})


def _unusable(now: datetime) -> list[Document]:
    """What no release has written: nobody would ever be told of such a cause, or told anew."""
    return [
        {"openedAt": {"$not": {"$type": "date"}}},
        {"openedAt": {"$gt": now + AHEAD}},
        {"state": {"$nin": ["owed", "sent", "muted"]}},
        {"state": "owed", "dueAt": {"$not": {"$type": "date"}}},
        {"state": "owed", "dueAt": {"$gt": now + AHEAD}},
        {"correlationIds": {"$not": {"$type": "array"}}},
    ]
