"""Alerts that wait to be sent, in `oai.alerts`. There is one document for each cause, so that many failures make one alert.

The relay sends them (`messaging.outbox.relay`). `blacklist` decides which are muted, and `reported_cases` which cases an alert
names.
"""

import uuid
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from casebridge.alerts.alert import Alert
from casebridge.alerts.reported_cases import FIELDS, ReportedCases
from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.expiring import ExpiringDocuments
from casebridge.safe_names import ALL_NAMES, SafeNames
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.settings import LONGEST_FOLD_MINUTES

AHEAD: Final = timedelta(days=2)
"""Longer than any wait that Slack may ask for. No release sets a later time."""
LATEST: Final = timedelta(minutes=LONGEST_FOLD_MINUTES) + AHEAD
"""No alert is due later than this, whatever a process has as its `fold`.

A bound from the process's own `fold` would not do: two processes with different values would undo each other's times.
"""
STATES: Final = ("owed", "sent", "muted")
SETTLED: Final = STATES[1:]
TRIES: Final = 20
"""How often an update is tried when other processes change the document between the read and the write."""


class AlertOutbox:
    """Folding: for the time `fold` after a cause was sent, cases are only added to it. Then it is sent again, with those cases.

    So a cause is sent at most once in `fold`, and a message names each case that is added. A document that has `dueAt` is to be
    sent. Its `state` says what happened last: `owed` (not sent since it was opened), `sent` or `muted`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        fold: timedelta,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
        names: SafeNames = ALL_NAMES,
    ) -> None:
        """Only alerts of the environment `served` are claimed, and those that name none, such as Dagster's own.

        `names` says which names of institutions and submodules an alert may show.
        """
        self._names = names
        self._served = served
        self._alerts = database.alerts
        self._clock = clock
        self._fold = fold

    def enqueue(self, alert: Alert) -> None:
        """Store the alert, so that it is sent alone or folded into one of the same cause. May be repeated."""
        alert = self._names.of_alert(alert)
        now = self._clock.now()
        opened = _opened(alert, now)
        for _ in range(TRIES):
            try:
                self._alerts.insert_one({"_id": alert.fingerprint, **opened})
            except DuplicateKeyError:
                if self._fold_in(alert, opened, now):
                    return
            else:
                return
        # Overwrite what others wrote: an alert that is sent twice is better than one that is not sent.
        self._alerts.update_one({"_id": alert.fingerprint}, {"$set": opened}, upsert=True)

    def _fold_in(self, alert: Alert, opened: Document, now: datetime) -> bool:
        """Add the alert to the document of its cause. `False` if the document was pruned or changed since it was read."""
        found = self._alerts.find_one({"_id": alert.fingerprint}, {**FIELDS, "openedAt": 1, "dueAt": 1, "state": 1})
        if found is None:
            return False
        if not _is_usable(found, now):
            self._alerts.update_one({"_id": alert.fingerprint}, {"$set": opened})
            return True
        where: Document = {"_id": alert.fingerprint, "dueAt": {"$exists": "dueAt" in found}}
        change: Document = {"$set": {"lastAt": now}}
        if "dueAt" not in found:
            where["openedAt"] = found["openedAt"]
            if found["openedAt"] <= now - self._fold:
                return self._alerts.update_one(where, {"$set": opened}).matched_count > 0
        if addition := ReportedCases(found).addition(alert):
            change = addition
            change["$set"] |= {"lastAt": now, "addedBy": uuid.uuid4().hex}
            if "dueAt" not in found:
                change["$set"] |= {**_body(alert), "dueAt": found["openedAt"] + self._fold}
        return self._alerts.update_one(where, change).matched_count > 0

    def make_far_ones_due(self) -> None:
        """Make alerts due now that are due later than any release sets: they would never be sent."""
        now = self._clock.now()
        self._alerts.update_many({"dueAt": {"$gt": now + LATEST}}, {"$set": {"dueAt": now}})

    def claim(self, limit: int, hold: timedelta) -> list[Document]:
        """Claim at most `limit` alerts that are due and served. Other relays do not get them for the time `hold`.

        Their `correlationIds` are the cases to be named now.
        """
        now = self._clock.now()
        token = uuid.uuid4().hex
        due = self._alerts.find({"dueAt": {"$lte": now}}, {"institution": 1})
        # Filtered here, not by the query: an alert has no field for its environment. There are few: one for each cause.
        ours = (document["_id"] for document in due if self._served.serves(document.get("institution")))
        keys = list(islice(ours, limit))
        if not keys:
            return []
        try:
            self._alerts.update_many(
                {"_id": {"$in": keys}, "dueAt": {"$lte": now}}, {"$set": {"dueAt": now + hold, "relay": token}}
            )
        except OperationFailure:
            return []  # a conflict with another relay: the next round takes what is left
        held = self._alerts.find({"_id": {"$in": keys}, "relay": token})
        return [self._names.of_document(to_send) for alert in held if (to_send := self._to_send(alert)) is not None]

    def _to_send(self, alert: Document) -> Document | None:
        """The document to send. `None` if all its cases were sent, and it is due only because of a concurrent write."""
        to_send = ReportedCases(alert).to_send()
        if alert.get("state") in STATES[1:] and not to_send["correlationIds"]:
            self.settle(to_send, alert["state"])
            return None
        return to_send

    def settle(self, document: Document, state: str) -> None:
        """Store that the document was `sent` or `muted`, with the cases that it named.

        Cases that are left, or were added meanwhile, are due after `fold`.
        """
        for _ in range(TRIES):
            held = {"_id": document["_id"], "relay": document["relay"]}
            now = self._clock.now()
            found = self._alerts.find_one(held, {**FIELDS, "addedBy": 1})
            if found is None:
                return  # another relay has claimed it
            rest, is_more = ReportedCases(found).after(document)
            change: Document = {"$set": {**rest, "state": state, "settledAt": now, "openedAt": now}}
            change["$unset"] = {"relay": ""} if is_more else {"relay": "", "dueAt": ""}
            if is_more:
                change["$set"]["dueAt"] = now + self._fold
            if self._alerts.update_one({**held, "addedBy": {"$eq": found.get("addedBy")}}, change).matched_count:
                return

    def postpone(self, document: Document, wait: timedelta) -> None:
        self._alerts.update_one(
            {"_id": document["_id"], "relay": document["relay"]},
            {"$set": {"dueAt": self._clock.now() + wait}, "$unset": {"relay": ""}},
        )

    def pending(self) -> int:
        """The number of alerts that should have been sent by now, without those that wait for the end of their `fold`."""
        return self._alerts.count_documents({"$or": [{"state": "owed"}, {"dueAt": {"$lte": self._clock.now()}}]})


def _body(alert: Alert) -> Document:
    """The fields of an alert in its document. The cases are in other fields."""
    return {name: value for name, value in alert.body().items() if name != "cases"}


def _opened(alert: Alert, now: datetime) -> Document:
    """The document of a cause that is new, or was sent longer than `fold` ago. All its cases are to be named."""
    return {**_body(alert), **ReportedCases.of(alert), "openedAt": now, "lastAt": now, "state": "owed", "dueAt": now}


def _is_usable(found: Document, now: datetime) -> bool:
    """Whether the document has a form that a release of casebridge writes. Another one would never be sent, or never again."""
    opened, due = found.get("openedAt"), found.get("dueAt")
    return (
        isinstance(opened, datetime)
        and opened <= now + AHEAD
        and found.get("state") in STATES
        and (isinstance(due, datetime) and due <= now + LATEST if "dueAt" in found else found["state"] != "owed")
        and ReportedCases.is_readable(found)
    )


def expiring(database: Database) -> ExpiringDocuments:
    """Alerts that were sent or muted. One that became `owed` again before its removal stays."""
    still = {"state": {"$in": list(SETTLED)}}
    return ExpiringDocuments("alerts", database.alerts, "settledAt", still=still)
