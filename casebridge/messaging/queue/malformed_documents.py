"""Stored messages that no release of ours wrote as they are: adopted where that is safe, else set aside in sight.

Another program may have written them (contract 11 has neither `dueAt` nor `institution`), or a person. Three rules:

- Whatever stands in a field, no other message is held up.
- Nothing is guessed on which it depends who the right student is.
- What cannot go on is dead, with an alert.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import FAR_AHEAD, Clock
from casebridge.database import Database, Document
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.errors import PermanentError
from casebridge.fingerprint import short_hash
from casebridge.messaging import audit_entries
from casebridge.messaging.outbox.channels import ALERT
from casebridge.messaging.queue.message import (
    LONG_AGO,
    LONGEST_NAME,
    UNFINISHED,
    UNKNOWN,
    Failure,
    Message,
    MessageStatus,
    PendingEffect,
    is_count,
    is_key,
    is_name,
    is_text,
    moment_of,
    status_of,
)
from casebridge.messaging.queue.outcome import Outcome
from casebridge.messaging.queue.spelling import NAMES as SPELT
from casebridge.messaging.queue.spelling import misspelt, respell, says
from casebridge.messaging.queue.transitions import Action, sources, target
from casebridge.messaging.queue.unreadable import unreadable
from casebridge.tenant import normal_institution

logger = logging.getLogger(__name__)

STEP: Final = "read_message"
ADOPTED_AT_ONCE: Final = 500
SMALLEST_DEATH: Final[Document] = {
    "$set": {"status": target(Action.SET_ASIDE)},
    "$unset": {"dueAt": "", "owner": "", "claim": ""},
}
"""For a document that has no room for anything else: this makes it smaller."""
FOLD: Final = timedelta(hours=1)
"""Within this time, alerts of messages that cannot even say why they are dead are folded into one."""
NAMED: Final = ("orgId", "env", "institution", "queue", "correlationId")
OTHERS_LEASE: Final = timedelta(minutes=10)
"""How long a program that follows contract 11 may take for a message in work."""
LANE_NAMES: Final = ("institution", "queue", "examSystem")
COUNTS: Final = ("attempts", "fence", "takenOver")
CLAIM_FIELDS: Final = dict.fromkeys(
    (
        "institution", "examSystem", "orgId", "env", "queue", "orderingKey", "status", "enqueuedAt", "dueAt", "owner", *COUNTS,
    ), 1,
)  # fmt: skip
"""What a claim reads of each message before it takes it: small, and enough to see whether it can."""
DATE: Final = "date"
FAR: Final = "far ahead"
_TYPES: Final = {
    "institutionIs": {"$type": "$institution"},
    "queueIs": {"$type": "$queue"},
    "examSystemIs": {"$type": "$examSystem"},
}


def due_kind(now: datetime) -> Document:
    """What stands in `dueAt`, for an aggregation: `DATE` for a time that is waited for, `FAR` for one that never comes.

    Else the type's name. What some servers sort behind every date, such as a regular expression, is `FAR`, too.
    """
    return {"$cond": [{"$gt": ["$dueAt", now + FAR_AHEAD]}, FAR, {"$type": "$dueAt"}]}


def unwritable() -> PermanentError:
    """Of a message that is dead and does not say why: there is no room in it, or the database refuses what is to be added."""
    return PermanentError(
        "casebridge.message_unwritable",
        "A stored message takes no error of its own (too large, or it holds what cannot be changed): it is dead all the same.",
        "Find it by `casebridge dead list` (its code is unknown, or that of an older error), shorten or correct it in "
        "oai.meldingQ and replay it, or discard it.",
    )


def name_of_key(key: object) -> str:
    """What an entry of the audit calls a message: its key, or a hash of one that is too long or no text."""
    return key if is_key(key) else short_hash(key)


class MalformedDocuments:
    """Finds, corrects and sets aside. Thread-safe; each change names what was seen, so that no other's work is touched.

    Whatever one document raises, the others are treated: only that the database is away is raised.
    """

    def __init__(
        self, database: Database, clock: Clock, respelt: Callable[[Document], None] = lambda _document: None
    ) -> None:
        """`respelt` is called with a message that is due in another lane than it was found in."""
        self._respelt = respelt
        self._messages = database.messages
        self._audit = AuditLog(database)
        self._alerts = AlertOutbox(database, clock, FOLD)
        self._clock = clock

    def claimable(self, found: Sequence[Document], now: datetime) -> list[Document]:
        """Of due messages those that can be claimed, corrected where that was needed. Writes only for what is malformed."""
        free = []
        for document in found:
            due: Document = {"_id": {"$eq": document["_id"]}, "dueAt": {"$lte": now}}
            try:
                if self._can_be_claimed(document, due):
                    free.append(document)
            except Exception as error:  # noqa: BLE001 whatever it is, the other messages are not to wait for it
                self._stop(due, error, document)
        return free

    def _can_be_claimed(self, document: Document, due: Document) -> bool:
        status = status_of(document)
        if status is not None and status not in UNFINISHED:
            self._messages.update_one({**due, "status": status.value}, {"$unset": {"dueAt": ""}})
            return False
        if wanting := _wanting(document):
            self.set_aside(due, wanting)
            return False
        repairs = _repairs(document)
        if not repairs:
            return True
        logger.warning("a message is corrected: %s", ", ".join(sorted(repairs)))
        self._messages.update_one(due, {"$set": repairs})
        # Of another institution than it was found for: whether that is served here, and not paused, is seen in its own lane.
        is_elsewhere = "institution" in repairs and repairs["institution"] != normal_institution(
            document.get("institution")
        )
        document.update(repairs)
        if is_elsewhere:
            self._respelt(document)
        return not is_elsewhere

    def adopt(self) -> int:
        """Adopt messages that no claim would ever find, or set them aside; return how many there were."""
        looked_at, now = 0, self._clock.now()
        # One by one from the server: each may have megabytes in any field.
        for document in self._messages.aggregate(
            [
                {"$project": {**CLAIM_FIELDS, "processingAt": 1, "due": due_kind(now), **_TYPES}},
                {"$match": {"$or": _NEVER_FOUND}},
                {"$limit": ADOPTED_AT_ONCE},
            ]
        ):
            looked_at += 1
            seen: Document = {"_id": {"$eq": document["_id"]}, "status": {"$eq": document.get("status")}}
            if moment_of(document, "dueAt") is not None and document["due"] == FAR:
                # The worker that holds it may have corrected it meanwhile.
                seen["dueAt"] = {"$gt": now + FAR_AHEAD}
            try:
                self._adopt(document, seen)
            except Exception as error:  # noqa: BLE001 nor are the others to wait for this one to be adopted
                self._stop(seen, error, document)
        return looked_at

    def _adopt(self, document: Document, seen: Document) -> None:
        if wanting := _wanting(document):
            self.set_aside(seen, wanting)
            return
        change = _repairs(document)
        if document["due"] != DATE:
            change["dueAt"] = self._due_at(document)
        if not change:
            return
        logger.warning("a message is adopted, with %s", ", ".join(sorted(change)))
        self._messages.update_one(seen, {"$set": change})

    def respell(self, groups: Iterable[Mapping[str, Any]]) -> int:
        """Bring the names of messages, whatever their status, into their one spelling; return how many were changed.

        `groups` are the lanes that messages are in: those are read whose names are misspelt, or name no institution.
        """
        wrong = {
            (group.get("institution"), group.get("examSystem"))
            for group in groups
            if group.get("institution") is None or misspelt({name: group.get(name) for name in LANE_NAMES})
        }
        changed = 0
        for institution, exam_system in wrong:
            where = {"institution": {"$eq": institution}, "examSystem": {"$eq": exam_system}}
            by_names: list[Document] = [{"$match": where}, {"$group": {"_id": {name: f"${name}" for name in SPELT}}}]
            for each in list(self._messages.aggregate(by_names)):
                if right := misspelt(each["_id"]):
                    found = {name: {"$eq": each["_id"].get(name)} for name in SPELT}
                    changed += respell(self._messages, found, right)
        return changed

    def _due_at(self, document: Document) -> datetime:
        """Now; what another program has in work, when that has had its time. It began by now, whatever it says."""
        now, begun = self._clock.now(), moment_of(document, "processingAt")
        if status_of(document) is MessageStatus.PROCESSING and begun is not None:
            return max(now, min(begun, now) + OTHERS_LEASE)
        return now

    def set_aside(self, seen: Document, fields: Sequence[str]) -> None:
        """Dead, with an error and an alert, as if it had failed at its first step; `seen` selects the one message."""
        try:
            self._set_aside(seen, fields)
        except Exception as error:  # noqa: BLE001 what the document does not take is alerted beside it
            self._stop(seen, error)

    def _set_aside(self, seen: Document, fields: Sequence[str]) -> None:
        stored = self._messages.find_one(seen, dict.fromkeys((*NAMED, "effects"), 1))
        if stored is None:
            return
        error, now = unreadable(fields), self._clock.now()
        failure = Failure(now, 1, STEP, error.category.value, error.code, error.cause, error.next_action)
        said = _said(stored)
        earlier = stored.get("effects")
        # Only the names that it says; `institution` may be among those that nobody knows.
        named = Message.from_document({"_id": name_of_key(stored["_id"]), **said})
        alert = _alert(named, error)
        effect = PendingEffect(short_hash(stored["_id"], STEP, now.isoformat(), ALERT), ALERT, alert.body())
        logger.warning("a message is set aside (%s): %s", error.code, error.cause)
        self._audit.add([audit_entries.failed(Outcome(named, MessageStatus.DEAD, STEP, failure), None)])
        self._messages.update_one(
            seen,
            {
                "$set": {
                    # What it lacked, so that nobody who reads it later must assume again.
                    **said,
                    "status": target(Action.SET_ASIDE),
                    "errors": [failure.document()],
                    "effects": [*(earlier if isinstance(earlier, list) else ()), effect.document()],
                    "effectsDueAt": now,
                },
                "$unset": {"dueAt": "", "owner": "", "claim": ""},
            },
        )

    def _stop(self, seen: Document, error: BaseException, known: Document | None = None) -> None:
        """Dead with the smallest write there is, and an alert beside the document: what it should say is more than it takes.

        `known` is what was read of it. Raises `error` while the database is away.
        """
        if is_away(error):
            raise error
        log_defect(error)
        try:
            # The alert first: a dead message without one would stay unnoticed.
            named = Message.from_document({"_id": UNKNOWN, **_said(known or {})})
            self._alerts.enqueue(_alert(named, unwritable(), set_aside=False))
            self._messages.update_one(seen, SMALLEST_DEATH)
        except Exception as problem:
            if is_away(problem):
                raise
            log_defect(problem)


_IS_LONG: Final[Document] = {"$regex": f"^.{{{LONGEST_NAME + 1}}}", "$options": "s"}
_NEVER_FOUND: Final[list[Document]] = [
    {"status": {"$nin": [status.value for status in MessageStatus]}},
    *(
        {"status": {"$in": sources(Action.SET_ASIDE)}, **odd}
        for odd in (
            *({name: _IS_LONG} for name in LANE_NAMES),
            {"due": {"$ne": DATE}},
            {"institutionIs": {"$ne": "string"}},
            {"queueIs": {"$ne": "string"}},
            # Who has only one exam system need not say which; who has none says so with an empty one.
            {"examSystemIs": {"$nin": ["string", "null", "missing"]}},
        )
    ),
]


def is_never_found(group: Mapping[str, Any]) -> bool:
    """Whether no claim would find messages of this status, institution, exam system, queue and `due` (`due_kind`)."""
    status = status_of(group)
    if status is None:
        return True
    is_named = is_name(group.get("institution")) and is_name(group.get("queue"))
    is_malformed = group.get("due") != DATE or not is_named or not _is_name_or_none(group.get("examSystem"))
    return status in UNFINISHED and is_malformed


def _is_name_or_none(value: object) -> bool:
    return value is None or is_name(value)


def _wanting(document: Document) -> list[str]:
    """What keeps a message from being adopted or claimed."""
    wanting = ["status"] if status_of(document) is None else []
    if not is_key(document["_id"]):
        wanting.append("_id")
    if wanting:
        return wanting
    wanting += [] if is_name(document.get("queue")) else ["queue"]
    wanting += [] if _is_name_or_none(document.get("examSystem")) else ["examSystem"]
    if not is_name(document.get("institution")):
        wanting += [name for name in ("orgId", "env") if not says(document.get(name))]
    return wanting


def _repairs(document: Document) -> Document:
    """What must be there, or be a number, a time or a name, before a claim can name or count it up."""
    repairs: Document = {name: 0 for name in COUNTS if name in document and not is_count(document[name])}
    if not is_key(case := document.get("orderingKey")):
        # Cut, two cases might become one; hashed, the messages of one stay together.
        repairs["orderingKey"] = short_hash(case) if is_text(case) else document["_id"]
    if "enqueuedAt" in document and moment_of(document, "enqueuedAt") is None:
        repairs["enqueuedAt"] = LONG_AGO
    return repairs | misspelt(document)


def _said(stored: Document) -> dict[str, Any]:
    """What a message that is set aside says of itself, in its one spelling; without an institution that nobody knows.

    That is made of its parts when they are corrected: an `unknown` in it would be taken for its name.
    """
    said = {name: value if is_name(value := stored.get(name)) else UNKNOWN for name in NAMED}
    said |= misspelt(said)
    if UNKNOWN in said["institution"].split("/"):
        del said["institution"]
    return said


def _alert(message: Message, error: PermanentError, *, set_aside: bool = True) -> Alert:
    """`set_aside`: the message has the error among its own, so that it is found by its code."""
    return Alert.of(
        error,
        institution=message.institution,
        org_id=message.org_id,
        submodule=message.queue,
        step=STEP,
        correlation_id=None if message.correlation_id == UNKNOWN else message.correlation_id,
        set_aside=set_aside,
    )
