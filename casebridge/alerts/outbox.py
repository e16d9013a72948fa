"""Alerts that wait to be sent, folded by cause, in `oai.alerts`: one document a cause, so that a crowd of failures is one alert.

The relay sends them (`messaging.outbox.relay`). Which are muted is decided in `blacklist`, which cases an alert names in
`reported_cases`.
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
"""Longer than any wait that Slack is granted; a later time was set by no release."""
LATEST: Final = timedelta(minutes=LONGEST_FOLD_MINUTES) + AHEAD
"""None is due later: not with any process's `fold`. By its own, each of two processes would undo what the other set."""
STATES: Final = ("owed", "sent", "muted")
SETTLED: Final = STATES[1:]
TRIES: Final = 20
"""So often another process may have changed the document since it was read."""


class AlertOutbox:
    """Folding: for `fold` after a cause was sent, cases are only added to it. Then it is sent again, with the cases added.

    So a cause is sent once in `fold` at most, and each case that is added is named by a message. A document with `dueAt` is to be
    sent. `state` says what became of it last: `owed` (never sent since it was opened), `sent` or `muted`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        fold: timedelta,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
        names: SafeNames = ALL_NAMES,
    ) -> None:
        """Only alerts of the environment that is `served` are claimed; one that names none (Dagster's own) is any process's.

        `names` says which names of institutions and submodules may stand in an alert.
        """
        self._names = names
        self._served = served
        self._alerts = database.alerts
        self._clock = clock
        self._fold = fold

    def enqueue(self, alert: Alert) -> None:
        """The alert will be sent, alone or folded into one of the same cause. Right when applied twice."""
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
        # Opened anew, whatever the others write: better sent twice than not at all.
        self._alerts.update_one({"_id": alert.fingerprint}, {"$set": opened}, upsert=True)

    def _fold_in(self, alert: Alert, opened: Document, now: datetime) -> bool:
        """`False` if the document was pruned or changed since it was read."""
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
        """Alerts that are due later than any release sets would never be sent: they are due now."""
        now = self._clock.now()
        self._alerts.update_many({"dueAt": {"$gt": now + LATEST}}, {"$set": {"dueAt": now}})

    def claim(self, limit: int, hold: timedelta) -> list[Document]:
        """Served alerts that are due, held from other relays for `hold`; `correlationIds` are the cases to be named now."""
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
        held = self._alerts.find({"_id": {"$in": keys}, "relay": token})
        return [self._names.of_document(to_send) for alert in held if (to_send := self._to_send(alert)) is not None]

    def _to_send(self, alert: Document) -> Document | None:
        """`None` if all of it was sent, and it is due only because another process wrote at the same time."""
        to_send = ReportedCases(alert).to_send()
        if alert.get("state") in STATES[1:] and not to_send["correlationIds"]:
            self.settle(to_send, alert["state"])
            return None
        return to_send

    def settle(self, document: Document, state: str) -> None:
        """`sent` or `muted`, with the cases that it names. What is left, or was added meanwhile, is due after `fold`."""
        for _ in range(TRIES):
            held = {"_id": document["_id"], "relay": document["relay"]}
            now = self._clock.now()
            found = self._alerts.find_one(held, {**FIELDS, "addedBy": 1})
            if found is None:
                return  # another relay has it by now
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
        """How many alerts should have been sent by now; what waits for the end of its `fold` is not among them."""
        return self._alerts.count_documents({"$or": [{"state": "owed"}, {"dueAt": {"$lte": self._clock.now()}}]})


def _body(alert: Alert) -> Document:
    """What a document says of an alert; its cases are in fields of their own."""
    return {name: value for name, value in alert.body().items() if name != "cases"}


def _opened(alert: Alert, now: datetime) -> Document:
    """A cause that is new, or was not sent for long. All its cases are to be named."""
    return {**_body(alert), **ReportedCases.of(alert), "openedAt": now, "lastAt": now, "state": "owed", "dueAt": now}


def _is_usable(found: Document, now: datetime) -> bool:
    """Whether a release of ours has written it. Any other would never be sent, or never again."""
    opened, due = found.get("openedAt"), found.get("dueAt")
    return (
        isinstance(opened, datetime)
        and opened <= now + AHEAD
        and found.get("state") in STATES
        and (isinstance(due, datetime) and due <= now + LATEST if "dueAt" in found else found["state"] != "owed")
        and ReportedCases.is_readable(found)
    )


def expiring(database: Database) -> ExpiringDocuments:
    """Alerts that were sent or muted. One that is owed again by the moment of its removal stays."""
    still = {"state": {"$in": list(SETTLED)}}
    return ExpiringDocuments("alerts", database.alerts, "settledAt", still=still)
