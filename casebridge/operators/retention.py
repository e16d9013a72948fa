"""What is kept for how long: removes what has been finished for longer than the settings say, in small batches.

Messages that are not processed and cases are never removed. Pruned here and not by TTL indexes of the server, which would know
neither a dry run, nor a count for the audit, nor that a key must outlive its message; and whose period hides in each index.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from pymongo.collection import Collection

from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.correlation_id import new_correlation_id
from casebridge.database import Database, Document, identity_of
from casebridge.exams.explanations.case_state import OPEN
from casebridge.operators import stored_fields
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.settings import RetentionSettings
from casebridge.tenant import institution_name

SUBMODULE: Final = "casebridge-retention"
SETTLED: Final[Document] = {"state": {"$in": ["sent", "muted"]}}

NAMES: Final = dict.fromkeys(("correlationId", "institution", "orgId", "env"), 1)
Spare = Callable[[list[Document]], set[bytes]]


@dataclass(frozen=True)
class Removal:
    """One collection: what is older than `before`; of that, what was `spared` because something still needs it."""

    what: str
    before: datetime
    found: int = 0
    spared: int = 0
    removed: int = 0


@dataclass(frozen=True)
class PruneReport:
    """What was found and removed; with a dry run nothing is. `stopped`: asked to end before all was done."""

    dry_run: bool
    stopped: bool
    removals: tuple[Removal, ...]

    @property
    def found(self) -> int:
        return sum(removal.found - removal.spared for removal in self.removals)

    @property
    def removed(self) -> int:
        return sum(removal.removed for removal in self.removals)

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "found": self.found, "removed": self.removed}


@dataclass(frozen=True)
class _Rule:
    """What of a collection may go. `spare` names the ids that must stay; `still` must hold at the moment of removal, too.

    What was finished, received or audited stays so. Asking for it again would make some servers leave the index of ids.
    """

    what: str
    collection: Collection[Document]
    before: datetime
    selection: Document
    spare: Spare
    still: Document


class Retention:
    """Safe to run at any time, several at once, and again after it was killed: each pass finds what is left."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        clock: Clock,
        settings: RetentionSettings,
        move_discarded: Callable[[int], int],
        served: ServedEnvironment = EVERY_ENVIRONMENT,
    ) -> None:
        """What belongs to an environment that is not `served` stays: its own processes know how long it is wanted.

        `move_discarded` moves so many discarded messages, which nobody can bring back any more, out of the live queue.
        """
        self._database = database
        self._audit = audit
        self._clock = clock
        self._settings = settings
        self._move_discarded = move_discarded
        self._served = served

    def prune(
        self,
        *,
        dry_run: bool,
        asked_by: str,
        stop: threading.Event | None = None,
        progress: Callable[[Removal], None] = lambda _: None,
    ) -> PruneReport:
        """Remove what is past its time. `stop` ends it between two batches; `progress` hears of each batch.

        The audit is told before the first removal and, with the counts, after the last.
        """
        stop = stop or threading.Event()
        now = self._clock.now()
        rules = self._rules(now)
        correlation_id = new_correlation_id(now)
        if not dry_run:
            self._tell(
                correlation_id, "prune_begun", {"askedBy": asked_by, **{rule.what: rule.before for rule in rules}}
            )
            while not stop.is_set() and self._move_discarded(self._settings.batch_size):
                continue
        removals = tuple(self._apply(rule, stop, progress, dry_run=dry_run) for rule in rules)
        report = PruneReport(dry_run, stop.is_set(), removals)
        if not dry_run:
            counts = {removal.what: removal.removed for removal in removals}
            self._tell(correlation_id, "pruned", {**counts, "stopped": report.stopped})
        return report

    def _rules(self, now: datetime) -> list[_Rule]:
        """Messages before keys: a key must never go while its message is there."""
        database, settings = self._database, self._settings

        def rule(
            what: str,
            collection: Collection[Document],
            dated_by: str,
            days: float,
            spare: Spare = _none,
            still: Document | None = None,
        ) -> _Rule:
            before = now - timedelta(days=days)
            still = still or {}
            return _Rule(what, collection, before, {dated_by: {"$lt": before}, **still}, spare, still)

        rules = [
            rule(
                "processed_messages",
                database.processed_messages,
                "finishedAt",
                settings.processed_message_days,
                self._owing_messages,
            ),
            rule("received_keys", database.received_keys, "firstSeen", settings.received_key_days, self._needed_keys),
            # A cause may be told anew while we look: then it is owed again.
            rule("alerts", database.alerts, "settledAt", settings.alert_days, still=SETTLED),
            rule("listeners", database.listeners, "seenAt", settings.listener_days),
        ]
        if settings.audit_days:
            rules.insert(2, rule("audit_entries", database.audit_log, "time", settings.audit_days))
        return rules

    def _owing_messages(self, messages: list[Document]) -> set[bytes]:
        """Messages that still owe an effect, however long the channel has been away."""
        ids = [message["_id"] for message in messages]
        found = self._database.processed_messages.find({"_id": {"$in": ids}}, {"effectsDueAt": 1})
        return {identity_of(message["_id"]) for message in found if "effectsDueAt" in message}

    def _needed_keys(self, keys: list[Document]) -> set[bytes]:
        """Keys whose message is still there, or whose case is open, so that its source may send it again at any age."""
        ids = [key["_id"] for key in keys]
        needed = {
            identity_of(message["_id"])
            for collection in (self._database.messages, self._database.processed_messages)
            for message in collection.find({"_id": {"$in": ids}}, {"_id": 1})
        }
        # Picked out here, not by the query: with a second condition some servers no longer use the index.
        names = list({name for key in keys if (name := stored_fields.text(key, "correlationId", ""))})
        cases = self._database.cases.find(
            {"correlationId": {"$in": names}}, {"correlationId": 1, "state": 1, "institution": 1}
        )
        stay = {
            stored_fields.text(case, "correlationId", "")
            for case in cases
            if case.get("state") in OPEN or not self._served.serves(case.get("institution"))
        }
        return needed | {
            identity_of(key["_id"]) for key in keys if stored_fields.text(key, "correlationId", "") in stay
        }

    def _of_others(self, documents: list[Document]) -> set[bytes]:
        """What names an environment that this process does not serve; an audit entry names it in two fields."""
        return {
            identity_of(document["_id"])
            for document in documents
            if not self._served.serves(
                document.get("institution") or institution_name(document.get("orgId"), document.get("env"))
            )
        }

    def _apply(
        self, rule: _Rule, stop: threading.Event, progress: Callable[[Removal], None], *, dry_run: bool
    ) -> Removal:
        found = spared = removed = 0
        removal = Removal(rule.what, rule.before)
        size = self._settings.batch_size
        with rule.collection.find(rule.selection, NAMES).batch_size(size) as documents:
            for batch in _in_batches(documents, size):
                if stop.is_set():
                    break
                needed = rule.spare(batch) | self._of_others(batch)
                found += len(batch)
                spared += len(needed)
                if not dry_run:
                    ids = [document["_id"] for document in batch if identity_of(document["_id"]) not in needed]
                    removed += rule.collection.delete_many({"_id": {"$in": ids}, **rule.still}).deleted_count
                removal = Removal(rule.what, rule.before, found, spared, removed)
                progress(removal)
        return removal

    def _tell(self, correlation_id: str, step: str, detail: Mapping[str, Any]) -> None:
        self._audit.add(
            [
                AuditEntry(
                    id=f"{correlation_id}:{step}",
                    time=self._clock.now(),
                    correlation_id=correlation_id,
                    org_id="casebridge",
                    env="",
                    submodule=SUBMODULE,
                    step=step,
                    success=True,
                    detail=dict(detail),
                )
            ]
        )


def _none(_documents: list[Document]) -> set[bytes]:
    return set()


def _in_batches(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    iterator = iter(documents)
    while batch := list(islice(iterator, size)):
        yield batch
