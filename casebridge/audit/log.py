"""Writing to and reading from `oai.auditLog` (`oai-addAuditLog` of the source system)."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from casebridge.audit.entry import AuditEntry
from casebridge.bounded import AT_ONCE, bounded
from casebridge.database import Database, Document, insert_absent
from casebridge.expiring import ExpiringDocuments

MOST_ENTRIES: Final = 300
"""Of one case; a case that goes well has about ten."""
READ: Final = dict.fromkeys(
    (
        "time", "correlationId", "orgId", "env", "examSys", "submodule", "step", "success", "errorMessage", "code",
        "durationMs", "attempt", "detail",
    ),
    1,
)  # fmt: skip
"""The fields that every entry has. Those of a capability, and whatever else stands in a document, are not brought over."""


class AuditLog:
    """Append only: there is no method that changes or removes an entry."""

    def __init__(self, database: Database) -> None:
        self._entries = database.audit_log

    def add(self, entries: Iterable[AuditEntry]) -> None:
        """Write entries in one call. An entry that is there already stays as it is."""
        insert_absent(self._entries, [entry.document() for entry in entries])

    def of_case(
        self, correlation_id: str, before: datetime | None = None, limit: int = MOST_ENTRIES
    ) -> tuple[list[Document], int]:
        """What was done for one case (`before` a moment, if it is given), in order of time, and how much that is in all.

        Of more than `limit`, or of too many bytes, the newest: there stands why a case is where it is.
        """
        where: Document = {"correlationId": correlation_id, **({"time": {"$lt": before}} if before else {})}
        found = self._entries.find(where, READ, batch_size=AT_ONCE).sort("time", -1).limit(limit)
        entries = bounded(found, limit)[::-1]
        return entries, self._entries.count_documents(where)

    def counts_since(self, since: datetime) -> Iterator[dict[str, Any]]:
        """How many entries each submodule and step wrote since, by success and outcome: to be summed as they come.

        A step may end well without its act, because there is nothing to do any more: then its `outcome` says why.
        """
        names = {"submodule": "$submodule", "step": "$step", "success": "$success", "outcome": "$detail.outcome"}
        group = {"$group": {"_id": names, "entries": {"$sum": 1}}}
        yield from self._entries.aggregate([{"$match": {"time": {"$gte": since}}}, group], batchSize=AT_ONCE)


def expiring(database: Database) -> ExpiringDocuments:
    """Every entry. Retention alone removes any, and only where an installation has set a time for it."""
    return ExpiringDocuments("audit_entries", database.audit_log, "time")
