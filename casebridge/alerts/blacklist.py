"""Which alerts are known noise and muted: `configDB.slack-blacklists` (contract 11 and 12).

For developers and testers of an installation: muting an alert changes nothing for the case, and the audit keeps it. People write
these rows by hand: one that cannot be used mutes nothing, says so once in the log, and stands in the way of no alert.
"""

import logging
import re
import threading
from datetime import UTC, datetime
from typing import Final

from bson import Regex

from casebridge.bounded import AT_ONCE, BoundedRows, bounded
from casebridge.database import Database, Document

logger = logging.getLogger(__name__)

MOST_ROWS: Final = 1000
FIELDS: Final = dict.fromkeys(("orgId", "submodule", "pattern", "expires"), 1)
"""Not the reason, which people write as long as they like."""
TOO_LARGE: Final = "it is larger than a row may be"
AFTER_THE_LAST: Final = "all after those"
LONGEST_PATTERN: Final = 300
LONGEST_TEXT: Final = 500
"""Characters of code and cause that a pattern sees."""
NESTED: Final = re.compile(r"[*+?}]\)*[*+{]|\)[*+{]|\\[1-9]|\(\?P=|\(\?\(")
"""A repeated group, a repetition of a repetition, or a look back at a group: Python may need for ever on such a pattern."""
REPETITION: Final = re.compile(r"(?<![\\(])(?:[*+?]|\{)[?+]?")
VERBOSE_PART: Final = re.compile(r"\(\?[a-zA-Z]*x")
MOST_ALTERNATIVES: Final = 8
"""Of groups, in all: each may double the time, so that so many cost about as much as one repetition more."""
MOST_REPETITIONS: Final = 2
"""Each multiplies the time by the length of the text; two on 500 characters are a fraction of a second at worst."""
AROUND: Final = re.compile(r"^\^?\.\*|(?<!\\)\.\*\$?$")
"""A match may stand anywhere in the text without this."""


class UnusableRowError(ValueError):
    """A row that mutes nothing; the text says why and quotes none of its values."""


class Blacklist:
    """Rows `{orgId, submodule, pattern, reason, expires}`; an absent field matches anything, an expired row nothing."""

    def __init__(self, database: Database) -> None:
        self._rows = database.slack_blacklists
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def rows(self) -> list[Document]:
        """Those that can be used; of the others each is logged once."""
        usable = []
        rows = self._read()
        for row in rows.oversized:
            self._tell(row, UnusableRowError(TOO_LARGE))
        for row in rows:
            try:
                _check(row)
            except UnusableRowError as error:
                self._tell(row, error)
            else:
                usable.append(row)
        return usable

    def unusable(self) -> dict[str, str]:
        """The rows that mute nothing, by `_id`, and why: for `status`."""
        rows = self._read()
        found = {str(row["_id"])[:LONGEST_TEXT]: TOO_LARGE for row in rows.oversized}
        if rows.is_cut:
            found[AFTER_THE_LAST] = f"only the first {MOST_ROWS} rows, and 2 MB of them, are read"
        for row in rows:
            try:
                _check(row)
            except UnusableRowError as error:
                found[str(row["_id"])] = str(error)
        return found

    def _read(self) -> BoundedRows[Document]:
        # One more than are taken: then it shows that there are more.
        return bounded(self._rows.find({}, FIELDS, batch_size=AT_ONCE).limit(MOST_ROWS + 1), MOST_ROWS)

    def _tell(self, row: Document, error: UnusableRowError) -> None:
        key = f"{row['_id']}: {error}"
        with self._lock:
            if key in self._told:
                return
            self._told.add(key)
        logger.warning("the row %s of slack-blacklists mutes nothing: %s", row["_id"], error)


def muted_by(alert: Document, rows: list[Document], now: datetime) -> Document | None:
    """The row that mutes the alert, if any. A row that cannot be used mutes nothing: better noise than silence."""
    return next((row for row in rows if _matches(alert, row, now)), None)


def _matches(alert: Document, row: Document, now: datetime) -> bool:
    try:
        expires = _check(row)
        pattern = _pattern(row)
    except UnusableRowError:
        return False
    if expires is not None and expires <= now:
        return False
    if row.get("orgId") not in (None, "", alert.get("orgId")):
        return False
    if row.get("submodule") not in (None, "", alert.get("submodule")):
        return False
    return pattern.search(f"{alert.get('code')} {alert.get('cause')}"[:LONGEST_TEXT]) is not None


def _check(row: Document) -> datetime | None:
    """When the row expires. Raises `UnusableRowError`."""
    for name in ("orgId", "submodule"):
        if not isinstance(row.get(name), str | None):
            raise UnusableRowError(f"{name} is no text")
    _pattern(row)
    return _expires(row.get("expires"))


def _expires(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise UnusableRowError("expires is no time") from None
    if not isinstance(value, datetime):
        raise UnusableRowError("expires is no time")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _pattern(row: Document) -> re.Pattern[str]:
    value = row.get("pattern")
    flags = 0
    if isinstance(value, Regex | re.Pattern):
        value, flags = value.pattern, value.flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise UnusableRowError("pattern is neither a text nor a regular expression")
    _bound(value)
    try:
        compiled = re.compile(value, flags)
    except (re.error, OverflowError, RecursionError, ValueError):
        raise UnusableRowError("pattern is no regular expression") from None
    if compiled.flags & re.VERBOSE or VERBOSE_PART.search(value):
        # There a blank may stand between a group and its repetition, where `_bound` does not see that they belong together.
        raise UnusableRowError("pattern has the flag x, which is not taken")
    return compiled


def _bound(pattern: str) -> None:
    """Refuse what may take for ever on some text: Python's expressions cannot be broken off."""
    if len(pattern) > LONGEST_PATTERN:
        raise UnusableRowError(f"pattern is longer than {LONGEST_PATTERN} characters")
    in_groups = pattern.count("|") if "(" in pattern else 0
    if in_groups > MOST_ALTERNATIVES:
        raise UnusableRowError(f"pattern may take too long: it has groups, and more than {MOST_ALTERNATIVES} of |")
    if NESTED.search(pattern) or len(REPETITION.findall(AROUND.sub("", pattern))) > MOST_REPETITIONS:
        raise UnusableRowError(
            f"pattern may take too long: it repeats a group, or has more than {MOST_REPETITIONS} of * + ? {{}}"
        )
