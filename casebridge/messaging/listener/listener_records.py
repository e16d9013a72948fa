"""The records of listeners in `oai.listeners`: one for each listener that was at work."""

from casebridge.database import Database
from casebridge.expiring import ExpiringDocuments


def expiring(database: Database) -> ExpiringDocuments:
    """The records, by when their listener last wrote to them."""
    return ExpiringDocuments("listeners", database.listeners, "seenAt")
