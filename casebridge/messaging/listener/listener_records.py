"""The records of listeners in `oai.listeners`: one for each that was at work."""

from casebridge.database import Database
from casebridge.expiring import ExpiringDocuments


def expiring(database: Database) -> ExpiringDocuments:
    """A record whose listener has not been heard of for long."""
    return ExpiringDocuments("listeners", database.listeners, "seenAt")
