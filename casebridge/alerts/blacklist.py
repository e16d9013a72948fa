"""Decides which alerts are known noise and muted: `configDB.slack-blacklists` (contract 11 and 12).

This is for developers and testers of an installation. Muting an alert changes nothing for the case, and the audit log keeps it.
People write the rows by hand. A row that cannot be used mutes nothing and is logged once; alerts are sent all the same.
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
"""The fields that are read. `reason` is left out, because people may write any length there."""
TOO_LARGE: Final = "it is larger than a row may be"
AFTER_THE_LAST: Final = "all after those"
LONGEST_PATTERN: Final = 300
LONGEST_TEXT: Final = 500
"""Characters of code and cause that a pattern is matched against."""
NESTED: Final = re.compile(r"[*+?}]\)*[*+{]|\)[*+{]|\\[1-9]|\(\?P=|\(\?\(")
"""A repeated group, a repetition of a repetition, or a reference to a group: Python may never finish on such a pattern."""
REPETITION: Final = re.compile(r"(?<![\\(])(?:[*+?]|\{)[?+]?")
VERBOSE_PART: Final = re.compile(r"\(\?[a-zA-Z]*x")
MOST_ALTERNATIVES: Final = 8
"""In all groups together. Each may double the time, so eight cost about as much as one more repetition."""
MOST_REPETITIONS: Final = 2
"""Each multiplies the time by the length of the text. Two take a fraction of a second at worst on 500 characters."""
AROUND: Final = re.compile(r"^\^?\.\*|(?<!\\)\.\*\$?$")
"""A `.*` at the start or the end of a pattern. It is not counted: a match may be anywhere in the text anyway."""


class UnusableRowError(ValueError):
    """A row cannot be used, so it mutes nothing. The text says why and quotes none of the row's values."""


class Blacklist:
    """Rows `{orgId, submodule, pattern, reason, expires}`. An absent field matches anything; an expired row matches nothing."""

    def __init__(self, database: Database) -> None:
        self._rows = database.slack_blacklists
        self._lock = threading.Lock()
        self._logged: set[str] = set()

    def rows(self) -> list[Document]:
        """The rows that can be used. Each of the others is logged once."""
        usable = []
        rows = self._read()
        for row in rows.oversized:
            self._log_once(row, UnusableRowError(TOO_LARGE))
        for row in rows:
            try:
                _check(row)
            except UnusableRowError as error:
                self._log_once(row, error)
            else:
                usable.append(row)
        return usable

    def unusable(self) -> dict[str, str]:
        """The rows that cannot be used, by `_id`, each with the reason: for `casebridge status`."""
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
        # One row more than the limit is read, to see whether there are more.
        return bounded(self._rows.find({}, FIELDS, batch_size=AT_ONCE).limit(MOST_ROWS + 1), MOST_ROWS)

    def _log_once(self, row: Document, error: UnusableRowError) -> None:
        key = f"{row['_id']}: {error}"
        with self._lock:
            if key in self._logged:
                return
            self._logged.add(key)
        logger.warning("the row %s of slack-blacklists mutes nothing: %s", row["_id"], error)


def muted_by(alert: Document, rows: list[Document], now: datetime) -> Document | None:
    """The row that mutes the alert, if any. A row that cannot be used mutes nothing: noise is better than silence."""
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
        # With this flag a blank may separate a group from its repetition. `_bound` would not see that they belong together.
        raise UnusableRowError("pattern has the flag x, which is not taken")
    return compiled


def _bound(pattern: str) -> None:
    """Refuse a pattern that may never finish on some text: matching cannot be interrupted in Python.

    Raises `UnusableRowError`.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise UnusableRowError(f"pattern is longer than {LONGEST_PATTERN} characters")
    in_groups = pattern.count("|") if "(" in pattern else 0
    if in_groups > MOST_ALTERNATIVES:
        raise UnusableRowError(f"pattern may take too long: it has groups, and more than {MOST_ALTERNATIVES} of |")
    if NESTED.search(pattern) or len(REPETITION.findall(AROUND.sub("", pattern))) > MOST_REPETITIONS:
        raise UnusableRowError(
            f"pattern may take too long: it repeats a group, or has more than {MOST_REPETITIONS} of * + ? {{}}"
        )
