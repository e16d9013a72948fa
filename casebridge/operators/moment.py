"""Times as an operator types them: a date, a date with a time, or an age."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

AGE: Final = re.compile(r"(?P<count>\d{1,5})(?P<unit>[mhd])")
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime) -> datetime:
    """The time that the text means.

    - `30m`, `36h` and `7d` are that long before `now`.
    - `2026-01-08` and `2026-01-08T09:14` are UTC, unless the text has a time zone.

    Raises `ValueError` with a sentence for the operator.
    """
    if age := AGE.fullmatch(text.strip()):
        return now - timedelta(**{UNITS[age["unit"]]: int(age["count"])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment: write 30m, 36h or 7d for an age, or a date such as 2026-01-08 or 2026-01-08T09:14 (UTC)"
        ) from None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is no moment that can be: its time zone leads out of the calendar") from None
