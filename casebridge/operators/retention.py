"""Retention: removes documents that have been finished for longer than the settings say, in small batches.

Cases, and messages that are not processed, are never removed. TTL indexes of the server are not used:

- They have no dry run.
- They count nothing for the audit.
- They do not know that a key must outlive its message.
- Their period is hidden in each index.
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
    """The counts of one collection. `found` are older than `before`; `spared` of them stay, because something needs them."""

    what: str
    before: datetime
    found: int = 0
    spared: int = 0
    removed: int = 0


@dataclass(frozen=True)
class PruneReport:
    """What was found and removed. A dry run removes nothing. `stopped`: it was asked to end before all was done."""

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
    """The documents of one kind that are older than `before` may be removed."""

    documents: ExpiringDocuments
    before: datetime


class Retention:
    """May run at any time, several times at once, and again after it was killed: each run finds what is left."""

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
        """Make the retention.

        - `served`: documents of other environments stay, because their own processes know how long to keep them.
        - `cases`: the cases of each capability. The received keys of an open case stay.
        - `database`: passed on to the packages that own the documents.
        - `move_discarded`: moves that many discarded messages, which can no longer be replayed, out of the live queue.
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
        """Remove what is past its time. `stop` ends it between two batches. `progress` is called after each batch.

        The audit gets one entry before the first removal, and one with the counts after the last.
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
        """The rules in order. Messages come before keys: a key must never be removed while its message is stored."""
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
        """The documents of environments that this process does not serve.

        An audit entry has no institution: its organisation and environment are two fields.
        """
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
