"""Writing to and reading from `oai.auditLog` (`oai-addAuditLog` of the source system)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from casebridge.audit.entry import AuditEntry
from casebridge.database import Database, Document, insert_absent


class AuditLog:
    """Append only: there is no method that changes or removes an entry."""

    def __init__(self, database: Database) -> None:
        self._entries = database.audit_log

    def add(self, entries: Iterable[AuditEntry]) -> None:
        """Write entries in one call. An entry that is there already stays as it is."""
        insert_absent(self._entries, [entry.document() for entry in entries])

    def of_case(self, correlation_id: str) -> list[Document]:
        """Everything that was done for one case, in order of time."""
        return list(self._entries.find({"correlationId": correlation_id}).sort("time", 1))

    def failures_since(self, since: datetime, limit: int = 100) -> list[Document]:
        """What failed since, newest first."""
        return list(self._entries.find({"time": {"$gte": since}, "success": False}).sort("time", -1).limit(limit))

    def counts_since(self, since: datetime) -> Sequence[dict[str, Any]]:
        """How many entries each submodule and step wrote since, by outcome."""
        return list(
            self._entries.aggregate(
                [
                    {"$match": {"time": {"$gte": since}}},
                    {
                        "$group": {
                            "_id": {"submodule": "$submodule", "step": "$step", "success": "$success"},
                            "entries": {"$sum": 1},
                        }
                    },
                ]
            )
        )
