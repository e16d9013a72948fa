"""Writes and reads `oai.auditLog` (`oai-addAuditLog` of the source system)."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from casebridge.audit.entry import AuditEntry
from casebridge.bounded import AT_ONCE, bounded
from casebridge.database import Database, Document, insert_absent
from casebridge.expiring import ExpiringDocuments

MOST_ENTRIES: Final = 300
"""The most entries of one case that are read. A case without failures has about ten."""
READ: Final = dict.fromkeys(
    (
        "time", "correlationId", "orgId", "env", "examSys", "submodule", "step", "success", "errorMessage", "code",
        "durationMs", "attempt", "detail",
    ),
    1,
)  # fmt: skip
"""The fields that every entry has. Only these are read: not those of a capability, nor others in a document."""


class AuditLog:
    """Append only: no method changes or removes an entry."""

    def __init__(self, database: Database) -> None:
        self._entries = database.audit_log

    def add(self, entries: Iterable[AuditEntry]) -> None:
        """Write entries in one call. An entry that exists already stays as it is."""
        insert_absent(self._entries, [entry.document() for entry in entries])

    def of_case(
        self, correlation_id: str, before: datetime | None = None, limit: int = MOST_ENTRIES
    ) -> tuple[list[Document], int]:
        """The entries of one case in order of time, and how many it has in all. With `before`, only those before that time.

        If there are more than `limit`, or too many bytes, only the newest: they show why the case is in its state.
        """
        where: Document = {"correlationId": correlation_id, **({"time": {"$lt": before}} if before else {})}
        found = self._entries.find(where, READ, batch_size=AT_ONCE).sort("time", -1).limit(limit)
        entries = bounded(found, limit)[::-1]
        return entries, self._entries.count_documents(where)

    def counts_since(self, since: datetime) -> Iterator[dict[str, Any]]:
        """The number of entries since then, by submodule, step, success and outcome. Read them one by one and add them up.

        A step may succeed without doing its act, because there is nothing to do any more. Then its `outcome` says why.
        """
        names = {"submodule": "$submodule", "step": "$step", "success": "$success", "outcome": "$detail.outcome"}
        group = {"$group": {"_id": names, "entries": {"$sum": 1}}}
        yield from self._entries.aggregate([{"$match": {"time": {"$gte": since}}}, group], batchSize=AT_ONCE)


def expiring(database: Database) -> ExpiringDocuments:
    """All entries. Only retention removes entries, and only if the settings have a time for them."""
    return ExpiringDocuments("audit_entries", database.audit_log, "time")
