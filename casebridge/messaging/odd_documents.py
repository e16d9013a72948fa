"""Stored messages that no release of ours wrote as they are: adopted where that is safe, else set aside in sight.

Another program may have written them (contract 11 has neither `dueAt` nor `institution`), or a hand. Three rules:
whatever stands in a field, nobody else's message is held up; nothing is guessed of which the right student depends; what
cannot go on is dead, with an alert.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.errors import OperationFailure

from casebridge.alerts.alert import Alert
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.errors import PermanentError
from casebridge.fingerprint import short_hash
from casebridge.messaging import account
from casebridge.messaging.effect_channels import ALERT
from casebridge.messaging.message import (
    LONG_AGO,
    UNFINISHED,
    UNKNOWN,
    Failure,
    Message,
    MessageStatus,
    OwedEffect,
    is_count,
    is_text,
    moment_of,
    status_of,
)
from casebridge.tenant import institution_name

logger = logging.getLogger(__name__)

STEP: Final = "read_message"
ADOPTED_AT_ONCE: Final = 500
OTHERS_LEASE: Final = timedelta(minutes=10)
"""How long a program that keeps to contract 11 has for a message in work."""
COUNTS: Final = ("attempts", "fence", "takenOver")
CLAIM_FIELDS: Final = dict.fromkeys(
    ("institution", "examSystem", "queue", "orderingKey", "status", "enqueuedAt", "dueAt", "owner", *COUNTS), 1
)
"""What a claim reads of each message before it takes it: small, and enough to see whether it can."""
_TYPES: Final = {
    "due": {"$type": "$dueAt"},
    "institutionIs": {"$type": "$institution"},
    "queueIs": {"$type": "$queue"},
    "examSystemIs": {"$type": "$examSystem"},
}


def unreadable(fields: Sequence[str]) -> PermanentError:
    """`fields` are names; what stands in them is not repeated."""
    return PermanentError(
        "casebridge.message_unreadable",
        f"A stored message cannot be read: {', '.join(fields)} is missing, or not what it must be.",
        "Find it in oai.meldingQ by this code among its errors, correct it there and replay it, or discard it.",
    )


def check_payload(message: Message, fields: Mapping[str, type]) -> None:
    """What a flow cannot do without. Raises `PermanentError` `casebridge.message_unreadable` where that is wanting."""
    wanting = [f"payload.{name}" for name, kind in fields.items() if not isinstance(message.payload.get(name), kind)]
    if wanting:
        raise unreadable(wanting)


class OddDocuments:
    """Finds, mends and sets aside. Thread-safe; each change names what was seen, so that no other's work is touched."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._messages = database.messages
        self._audit = AuditLog(database)
        self._clock = clock

    def claimable(self, found: Sequence[Document], now: datetime) -> list[Document]:
        """Of due messages those that can be claimed, mended where that was needed. Writes only for what is odd."""
        return [document for document in found if self._can_be_claimed(document, now)]

    def _can_be_claimed(self, document: Document, now: datetime) -> bool:
        status = status_of(document)
        due: Document = {"_id": {"$eq": document["_id"]}, "dueAt": {"$lte": now}}
        if status is None or not is_text(document["_id"]):
            self.set_aside(due, ["status" if status is None else "_id"])
            return False
        if status not in UNFINISHED:
            self._messages.update_one({**due, "status": status.value}, {"$unset": {"dueAt": ""}})
            return False
        if repairs := _repairs(document):
            logger.warning("a message is mended: %s", ", ".join(sorted(repairs)))
            self._messages.update_one(due, {"$set": repairs})
            document.update(repairs)
        return True

    def adopt(self) -> int:
        """See to messages that no claim would ever find; return how many there were."""
        found = list(
            self._messages.aggregate(
                [
                    {"$project": {**CLAIM_FIELDS, "orgId": 1, "env": 1, "processingAt": 1, **_TYPES}},
                    {"$match": {"$or": _NEVER_FOUND}},
                    {"$limit": ADOPTED_AT_ONCE},
                ]
            )
        )
        for document in found:
            try:
                self._adopt(document)
            except OperationFailure as error:
                if is_away(error):
                    raise
                log_defect(error)
        return len(found)

    def _adopt(self, document: Document) -> None:
        seen = {"_id": {"$eq": document["_id"]}, "status": {"$eq": document.get("status")}}
        wanting = _wanting(document)
        if wanting:
            self.set_aside(seen, wanting)
            return
        change = _repairs(document)
        if document["due"] != "date":
            change["dueAt"] = self._due_at(document)
        if not is_text(document.get("institution")):
            change["institution"] = institution_name(document["orgId"], document["env"])
        if not _is_text_or_none(document.get("examSystem")):
            change["examSystem"] = UNKNOWN
        logger.warning("a message is adopted, with %s", ", ".join(sorted(change)))
        self._messages.update_one(seen, {"$set": change})

    def _due_at(self, document: Document) -> datetime:
        """Now; what another program has in work, when that has had its time."""
        now, begun = self._clock.now(), moment_of(document, "processingAt")
        if status_of(document) is MessageStatus.PROCESSING and begun is not None:
            return max(now, begun + OTHERS_LEASE)
        return now

    def set_aside(self, seen: Document, fields: Sequence[str]) -> None:
        """Dead, with an error and an alert, as if it had failed at its first step; `seen` selects the one message."""
        names = ("orgId", "env", "institution", "queue", "correlationId")
        stored = self._messages.find_one(seen, dict.fromkeys((*names, "effects"), 1))
        if stored is None:
            return
        error, now = unreadable(fields), self._clock.now()
        failure = Failure(now, 1, STEP, error.category.value, error.code, error.cause, error.next_action)
        said = {name: value if is_text(value := stored.get(name)) else UNKNOWN for name in names}
        if said["institution"] == UNKNOWN:
            said["institution"] = institution_name(said["orgId"], said["env"])
        owed = stored.get("effects")
        alert = _alert(said, error)
        effect = OwedEffect(short_hash(stored["_id"], STEP, now.isoformat(), ALERT), ALERT, alert.body())
        logger.warning("a message is set aside (%s): %s", error.code, error.cause)
        told = Message.from_document({"_id": str(stored["_id"]), **said})
        self._audit.add([account.failed(told, None, failure)])
        self._messages.update_one(
            seen,
            {
                "$set": {
                    # What it lacked, so that nobody who reads it later must assume again.
                    **{name: said[name] for name in ("institution", "queue", "correlationId")},
                    "status": MessageStatus.DEAD.value,
                    "errors": [failure.document()],
                    "effects": [*(owed if isinstance(owed, list) else ()), effect.document()],
                    "effectsDueAt": now,
                },
                "$unset": {"dueAt": "", "owner": "", "claim": ""},
            },
        )


_NEVER_FOUND: Final[list[Document]] = [
    {"status": {"$nin": [status.value for status in MessageStatus]}},
    *(
        {"status": {"$in": [status.value for status in UNFINISHED]}, **odd}
        for odd in (
            {"due": {"$ne": "date"}},
            {"institutionIs": {"$ne": "string"}},
            {"queueIs": {"$ne": "string"}},
            # Whoever has only one exam system needs not say which.
            {"examSystemIs": {"$nin": ["string", "null", "missing"]}},
        )
    ),
]


def is_never_found(group: Mapping[str, Any]) -> bool:
    """Whether no claim would find messages of this status, institution, exam system, queue and type of `dueAt` (`due`)."""
    status = status_of(group)
    if status is None:
        return True
    is_named = is_text(group.get("institution")) and is_text(group.get("queue"))
    is_odd = group.get("due") != "date" or not is_named or not _is_text_or_none(group.get("examSystem"))
    return status in UNFINISHED and is_odd


def _is_text_or_none(value: object) -> bool:
    return value is None or is_text(value)


def _wanting(document: Document) -> list[str]:
    """What keeps a message from being adopted."""
    if status_of(document) is None:
        return ["status"]
    wanting = [name for name in ("_id", "queue") if not is_text(document.get(name))]
    if not _is_text_or_none(document.get("examSystem")):
        wanting.append("examSystem")
    if not is_text(document.get("institution")):
        wanting += [name for name in ("orgId", "env") if not is_text(document.get(name))]
    return wanting


def _repairs(document: Document) -> Document:
    """What must be there, or be a number or a time, before a claim can name or count it up."""
    repairs: Document = {name: 0 for name in COUNTS if name in document and not is_count(document[name])}
    if not is_text(document.get("orderingKey")):
        repairs["orderingKey"] = document["_id"]
    if "enqueuedAt" in document and moment_of(document, "enqueuedAt") is None:
        repairs["enqueuedAt"] = LONG_AGO
    return repairs


def _alert(said: Mapping[str, str], error: PermanentError) -> Alert:
    return Alert.of(
        error,
        institution=said["institution"],
        org_id=said["orgId"],
        submodule=said["queue"],
        step=STEP,
        correlation_id=None if said["correlationId"] == UNKNOWN else said["correlationId"],
        set_aside=True,
    )
