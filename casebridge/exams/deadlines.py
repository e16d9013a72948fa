"""The deadline for an explanation: the law gives two weeks, counted as deadlines are counted in Norway.

The lengths are settings (`AnswerSettings`), because the Act was replaced in 2024 and institutions differ (contract 7).
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final

import holidays
from holidays import HolidayBase

LAST_YEAR: Final = 9000
"""Registries write 9999-12-31 for "never". No deadline is counted from such a day."""


def answer_deadline(asked_on: date, fs_deadline: date | None, days: int) -> date:
    """FS's own `frist` if there is one, else `days` after the request.

    A counted deadline that ends on a Saturday, Sunday or public holiday ends on the next working day (contract 7, "Counting").
    """
    if fs_deadline is not None:
        return fs_deadline
    if asked_on.year >= LAST_YEAR:
        return asked_on  # no case has such a day: the readers of FS refuse it
    return next_working_day(asked_on + timedelta(days=days))


def at_midnight(day: date) -> datetime:
    """A date in the form that MongoDB can store: midnight UTC."""
    return datetime.combine(day, time(), UTC)


def next_working_day(day: date) -> date:
    """`day` itself, or the first day after it that is a working day in Norway."""
    while day.weekday() >= 5 or day in _public_holidays(day.year):
        day += timedelta(days=1)
    return day


@cache
def _public_holidays(year: int) -> HolidayBase:
    return holidays.country_holidays("NO", years=year)
