"""Which alerts are known noise and muted: `configDB.slack-blacklists` (contract 11 and 12).

For developers and testers of an installation: muting an alert changes nothing for the case, and the audit keeps it.
"""

import re
from datetime import datetime

from casebridge.database import Database, Document


class Blacklist:
    """Rows `{orgId, submodule, pattern, reason, expires}`; an absent field matches anything, an expired row nothing."""

    def __init__(self, database: Database) -> None:
        self._rows = database.slack_blacklists

    def rows(self) -> list[Document]:
        return list(self._rows.find())


def muted_by(alert: Document, rows: list[Document], now: datetime) -> Document | None:
    """The row that mutes the alert, if any. A row with an unreadable pattern mutes nothing: better noise than silence."""
    return next((row for row in rows if _matches(alert, row, now)), None)


def _matches(alert: Document, row: Document, now: datetime) -> bool:
    expires = row.get("expires")
    if isinstance(expires, str):
        try:
            expires = datetime.fromisoformat(expires)
        except ValueError:
            return False
    if isinstance(expires, datetime) and (expires if expires.tzinfo else expires.replace(tzinfo=now.tzinfo)) <= now:
        return False
    if row.get("orgId") not in (None, "", alert["orgId"]) or row.get("submodule") not in (None, "", alert["submodule"]):
        return False
    try:
        return re.search(row.get("pattern") or "", f"{alert['code']} {alert['cause']}") is not None
    except re.error:
        return False
