"""What is kept for how long: removes what has been finished for longer than the settings say, in small batches.

Messages that are not processed and cases are never removed. Pruned here and not by TTL indexes of the server: those have no dry
run, count nothing for the audit, do not know that a key must outlive its message, and hide their period in each index.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.alerts import outbox
from casebridge.audit import log
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.cases.operator_cases import OperatorCases
from casebridge.clock import Clock
from casebridge.correlation_id import new_correlation_id
from casebridge.database import Database, Document, identity_of
from casebridge.expiring import ExpiringDocuments, identities
from casebridge.messaging.listener import listener_records
from casebridge.messaging.queue import expiring
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.settings import RetentionSettings
from casebridge.tenant import institution_name

SUBMODULE: Final = "casebridge-retention"


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
    """Documents from before this moment may go."""

    documents: ExpiringDocuments
    before: datetime


class Retention:
    """Safe to run at any time, several at once, and again after it was killed: each pass finds what is left."""

    def __init__(
        self,
        database: Database,
        cases: Sequence[OperatorCases],
        audit: AuditLog,
        clock: Clock,
        settings: RetentionSettings,
        move_discarded: Callable[[int], int],
        served: ServedEnvironment = EVERY_ENVIRONMENT,
    ) -> None:
        """What belongs to an environment that is not `served` stays: its own processes know how long it is wanted.

        `cases` are those of each capability: the received keys of an open case stay. `database` is handed on to the rooms that
        own what expires.

        `move_discarded` moves so many discarded messages, which nobody can bring back any more, out of the live queue.
        """
        self._database = database
        self._cases = cases
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

        The audit gets an entry before the first removal and, with the counts, one after the last.
        """
        stop = stop or threading.Event()
        now = self._clock.now()
        rules = self._rules(now)
        correlation_id = new_correlation_id(now)
        if not dry_run:
            self._record(
                correlation_id,
                "prune_begun",
                {"askedBy": asked_by, **{rule.documents.name: rule.before for rule in rules}},
            )
            while not stop.is_set() and self._move_discarded(self._settings.batch_size):
                continue
        removals = tuple(self._apply(rule, stop, progress, dry_run=dry_run) for rule in rules)
        report = PruneReport(dry_run, stop.is_set(), removals)
        if not dry_run:
            counts = {removal.what: removal.removed for removal in removals}
            self._record(correlation_id, "pruned", {**counts, "stopped": report.stopped})
        return report

    def _rules(self, now: datetime) -> list[_Rule]:
        """Messages before keys: a key must never go while its message is there."""
        database, settings = self._database, self._settings
        kept = [
            (expiring.processed_messages(database), settings.processed_message_days),
            (expiring.received_keys(database, self._keeping), settings.received_key_days),
            *([(log.expiring(database), settings.audit_days)] if settings.audit_days else []),
            (outbox.expiring(database), settings.alert_days),
            (listener_records.expiring(database), settings.listener_days),
        ]
        return [_Rule(documents, now - timedelta(days=days)) for documents, days in kept]

    def _keeping(self, correlation_ids: Iterable[str]) -> set[str]:
        names = list(correlation_ids)
        return set().union(*(cases.keeping(names, self._served) for cases in self._cases))

    def _of_others(self, documents: list[Document]) -> set[bytes]:
        """What names an environment that this process does not serve; an audit entry names it in two fields."""
        return identities(
            [
                document
                for document in documents
                if not self._served.serves(
                    document.get("institution") or institution_name(document.get("orgId"), document.get("env"))
                )
            ]
        )

    def _apply(
        self, rule: _Rule, stop: threading.Event, progress: Callable[[Removal], None], *, dry_run: bool
    ) -> Removal:
        found = spared = removed = 0
        removal = Removal(rule.documents.name, rule.before)
        with rule.documents.older_than(rule.before, self._settings.batch_size) as batches:
            for batch in batches:
                if stop.is_set():
                    break
                needed = rule.documents.needed(batch) | self._of_others(batch)
                found += len(batch)
                spared += len(needed)
                if not dry_run:
                    spare = [document for document in batch if identity_of(document["_id"]) not in needed]
                    removed += rule.documents.remove(spare)
                removal = Removal(rule.documents.name, rule.before, found, spared, removed)
                progress(removal)
        return removal

    def _record(self, correlation_id: str, step: str, detail: Mapping[str, Any]) -> None:
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
