"""Stored messages in a form that no release of casebridge wrote. They are adopted where that is safe, else set aside.

Another program may have written them (contract 11 has neither `dueAt` nor `institution`), or a person. Three rules:

- No value of a field may block other messages.
- No value is guessed that decides which student is meant.
- A message that cannot be handled becomes dead, with an alert.
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
"""The change for a document that has no room for anything else. It makes the document smaller."""
FOLD: Final = timedelta(hours=1)
"""Within this time, alerts are folded into one for messages that cannot store why they are dead."""
NAMED: Final = ("orgId", "env", "institution", "queue", "correlationId")
OTHERS_LEASE: Final = timedelta(minutes=10)
"""How long another program that follows contract 11 may take for a message in work."""
LANE_NAMES: Final = ("institution", "queue", "examSystem")
COUNTS: Final = ("attempts", "fence", "takenOver")
CLAIM_FIELDS: Final = dict.fromkeys(
    (
        "institution", "examSystem", "orgId", "env", "queue", "orderingKey", "status", "enqueuedAt", "dueAt", "owner", *COUNTS,
    ), 1,
)  # fmt: skip
"""The fields that a claim reads before it takes a message: small, and enough to see whether it can take it."""
DATE: Final = "date"
FAR: Final = "far ahead"
_TYPES: Final = {
    "institutionIs": {"$type": "$institution"},
    "queueIs": {"$type": "$queue"},
    "examSystemIs": {"$type": "$examSystem"},
}


def due_kind(now: datetime) -> Document:
    """The kind of a `dueAt`, for an aggregation.

    - `DATE`: a time that may be waited for.
    - `FAR`: a time too far ahead; also a value that some servers sort behind every date, such as a regular expression.
    - Else the name of the value's type.
    """
    return {"$cond": [{"$gt": ["$dueAt", now + FAR_AHEAD]}, FAR, {"$type": "$dueAt"}]}


def unwritable() -> PermanentError:
    """The error of a dead message that cannot store it: the document has no room, or the database refuses the change."""
    return PermanentError(
        "casebridge.message_unwritable",
        "A stored message takes no error of its own (too large, or it holds what cannot be changed): it is dead all the same.",
        "Find it by `casebridge dead list` (its code is unknown, or that of an older error), shorten or correct it in "
        "oai.meldingQ and replay it, or discard it.",
    )


def name_of_key(key: object) -> str:
    """The name of a message in audit entries: its key, or a hash if the key is too long or not a text."""
    return key if is_key(key) else short_hash(key)


class MalformedDocuments:
    """Finds, corrects and sets aside such documents. Thread-safe.

    - Each change filters on what was read, so it never touches what another worker changed meanwhile.
    - An error with one document does not stop the others. Only the driver's errors while the database is away are raised.
    """

    def __init__(
        self, database: Database, clock: Clock, respelt: Callable[[Document], None] = lambda _document: None
    ) -> None:
        """`respelt` is called with a message that was found in one lane and is due in another."""
        self._respelt = respelt
        self._messages = database.messages
        self._audit = AuditLog(database)
        self._alerts = AlertOutbox(database, clock, FOLD)
        self._clock = clock

    def claimable(self, found: Sequence[Document], now: datetime) -> list[Document]:
        """The due messages that can be claimed, corrected if needed. Writes only for malformed messages."""
        free = []
        for document in found:
            due: Document = {"_id": {"$eq": document["_id"]}, "dueAt": {"$lte": now}}
            try:
                if self._can_be_claimed(document, due):
                    free.append(document)
            except Exception as error:  # noqa: BLE001 the other messages must not wait for this one
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
        # It belongs to another institution than it was found for. The claim of that lane checks whether it may be served.
        is_elsewhere = "institution" in repairs and repairs["institution"] != normal_institution(
            document.get("institution")
        )
        document.update(repairs)
        if is_elsewhere:
            self._respelt(document)
        return not is_elsewhere

    def adopt(self) -> int:
        """Adopt messages that no claim would ever find, or set them aside. Returns how many there were."""
        count, now = 0, self._clock.now()
        # Read one by one: each may have megabytes in any field.
        for document in self._messages.aggregate(
            [
                {"$project": {**CLAIM_FIELDS, "processingAt": 1, "due": due_kind(now), **_TYPES}},
                {"$match": {"$or": _NEVER_FOUND}},
                {"$limit": ADOPTED_AT_ONCE},
            ]
        ):
            count += 1
            selection: Document = {"_id": {"$eq": document["_id"]}, "status": {"$eq": document.get("status")}}
            if moment_of(document, "dueAt") is not None and document["due"] == FAR:
                # The worker that holds the message may have corrected it meanwhile.
                selection["dueAt"] = {"$gt": now + FAR_AHEAD}
            try:
                self._adopt(document, selection)
            except Exception as error:  # noqa: BLE001 the other messages must not wait for this one
                self._stop(selection, error, document)
        return count

    def _adopt(self, document: Document, selection: Document) -> None:
        if wanting := _wanting(document):
            self.set_aside(selection, wanting)
            return
        change = _repairs(document)
        if document["due"] != DATE:
            change["dueAt"] = self._due_at(document)
        if not change:
            return
        logger.warning("a message is adopted, with %s", ", ".join(sorted(change)))
        self._messages.update_one(selection, {"$set": change})

    def respell(self, groups: Iterable[Mapping[str, Any]]) -> int:
        """Bring the names in messages of any status into their one spelling. Returns how many messages were changed.

        `groups` are the lanes that messages are in. Only lanes with a misspelt name or without an institution are read.
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
        """The due time of an adopted message: now. If another program has it in work: when that program's time is over.

        A `processingAt` in the future counts as now.
        """
        now, begun = self._clock.now(), moment_of(document, "processingAt")
        if status_of(document) is MessageStatus.PROCESSING and begun is not None:
            return max(now, min(begun, now) + OTHERS_LEASE)
        return now

    def set_aside(self, selection: Document, fields: Sequence[str]) -> None:
        """Make a message dead, with an error and an alert, as if it had failed at its first step. `selection` finds it."""
        try:
            self._set_aside(selection, fields)
        except Exception as error:  # noqa: BLE001 if the document does not take the error, an alert is sent without it
            self._stop(selection, error)

    def _set_aside(self, selection: Document, fields: Sequence[str]) -> None:
        stored = self._messages.find_one(selection, dict.fromkeys((*NAMED, "effects"), 1))
        if stored is None:
            return
        error, now = unreadable(fields), self._clock.now()
        failure = Failure(now, 1, STEP, error.category.value, error.code, error.cause, error.next_action)
        stored_names = _names_in(stored)
        earlier = stored.get("effects")
        # Only with the names that the document has. `institution` may be absent from them.
        named = Message.from_document({"_id": name_of_key(stored["_id"]), **stored_names})
        alert = _alert(named, error)
        effect = PendingEffect(short_hash(stored["_id"], STEP, now.isoformat(), ALERT), ALERT, alert.body())
        logger.warning("a message is set aside (%s): %s", error.code, error.cause)
        self._audit.add([audit_entries.failed(Outcome(named, MessageStatus.DEAD, STEP, failure), None)])
        self._messages.update_one(
            selection,
            {
                "$set": {
                    # With names for what the document lacked, so that later readers need no assumptions.
                    **stored_names,
                    "status": target(Action.SET_ASIDE),
                    "errors": [failure.document()],
                    "effects": [*(earlier if isinstance(earlier, list) else ()), effect.document()],
                    "effectsDueAt": now,
                },
                "$unset": {"dueAt": "", "owner": "", "claim": ""},
            },
        )

    def _stop(self, selection: Document, error: BaseException, known: Document | None = None) -> None:
        """Make a message dead by the smallest possible write, because its document takes no more, and enqueue an alert.

        `known` are the fields that were read. Raises `error` while the database is away.
        """
        if is_away(error):
            raise error
        log_defect(error)
        try:
            # The alert comes first: a dead message without one would stay unnoticed.
            named = Message.from_document({"_id": UNKNOWN, **_names_in(known or {})})
            self._alerts.enqueue(_alert(named, unwritable(), set_aside=False))
            self._messages.update_one(selection, SMALLEST_DEATH)
        except Exception as problem:
            if is_away(problem):
                raise
            log_defect(problem)


_IS_LONG: Final[Document] = {"$regex": f"^.{{{LONGEST_NAME + 1}}}", "$options": "s"}
_NEVER_FOUND: Final[list[Document]] = [
    {"status": {"$nin": [status.value for status in MessageStatus]}},
    *(
        {"status": {"$in": sources(Action.SET_ASIDE)}, **fault}
        for fault in (
            *({name: _IS_LONG} for name in LANE_NAMES),
            {"due": {"$ne": DATE}},
            {"institutionIs": {"$ne": "string"}},
            {"queueIs": {"$ne": "string"}},
            # A message may leave out the exam system if its institution has only one. Without any, the field is empty.
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
    """The fields that prevent a message from being adopted or claimed."""
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
    """The corrections that a claim needs: fields that must be numbers, times or names, with the values to set."""
    repairs: Document = {name: 0 for name in COUNTS if name in document and not is_count(document[name])}
    if not is_key(case := document.get("orderingKey")):
        # A long key is hashed, so that the messages of a case stay together. If it were cut, two cases might become one.
        repairs["orderingKey"] = short_hash(case) if is_text(case) else document["_id"]
    if "enqueuedAt" in document and moment_of(document, "enqueuedAt") is None:
        repairs["enqueuedAt"] = LONG_AGO
    return repairs | misspelt(document)


def _names_in(stored: Document) -> dict[str, Any]:
    """The names in a message that is set aside, in their one spelling. `institution` is left out if a part of it is unknown.

    It is built from its parts when a person has corrected them. A stored `unknown` would be taken for a name.
    """
    stored_names = {name: value if is_name(value := stored.get(name)) else UNKNOWN for name in NAMED}
    stored_names |= misspelt(stored_names)
    if UNKNOWN in stored_names["institution"].split("/"):
        del stored_names["institution"]
    return stored_names


def _alert(message: Message, error: PermanentError, *, set_aside: bool = True) -> Alert:
    """`set_aside`: the message has the error among its errors, so that commands find it by the code."""
    return Alert.of(
        error,
        institution=message.institution,
        org_id=message.org_id,
        submodule=message.queue,
        step=STEP,
        correlation_id=None if message.correlation_id == UNKNOWN else message.correlation_id,
        set_aside=set_aside,
    )
