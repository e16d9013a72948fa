"""The forms of the fields of an order to the control interface.

An order is checked before anything changes, so that an accepted order makes no later call fail. Only the content of a row of FS
is free: ``raw`` takes any JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from simulators.oslo import OSLO

LONGEST_S = 366 * 86_400
"""The longest delay: a year."""
LARGEST = 10**18
YEARS = range(1900, 3000)
"""The years that a population may have: far from both ends of the calendar."""
_HEADER_TEXT = re.compile(r"[!-~]([ -~]{0,98}[!-~])?")


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one field."""

    must_be: str
    """The description in the refusal."""
    fits: Callable[[object], bool]

    def or_null(self) -> Form:
        return Form(f"{self.must_be} or null", lambda value: value is None or self.fits(value))


def check_fields(order: object, forms: Mapping[str, Form], *, needed: Collection[str] = ()) -> None:
    """Check an order.

    :raises ValueError: no object, an unknown or a missing field, or a field with a value of another form
    """
    if not isinstance(order, dict):
        raise ValueError("an order must be an object")  # noqa: TRY004 - answered as any other refusal
    if unknown := sorted(set(order) - set(forms)):
        raise ValueError(f"there is no field {', '.join(unknown)}; choices: {', '.join(sorted(forms))}")
    if missing := sorted(set(needed) - set(order)):
        raise ValueError(f"the order needs {', '.join(missing)}")
    for name, value in order.items():
        if not forms[name].fits(value):
            raise ValueError(f"{name} must be {forms[name].must_be}")


def whole(least: int = -LARGEST, most: int = LARGEST) -> Form:
    """A whole number. true and false do not count as numbers."""
    return Form(
        f"a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def number(least: float, most: float) -> Form:
    """A number, whole or not. true and false do not count as numbers."""
    return Form(
        f"a number from {least} to {most}",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most,
    )


def _is_day(value: object) -> bool:
    try:
        date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _is_day_of_a_population(value: object) -> bool:
    return isinstance(value, str) and _is_day(value) and date.fromisoformat(value).year in YEARS


def _is_moment(value: object) -> bool:
    """Whether the moment can also be written in FS's time zone. At both ends of the calendar it cannot."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        datetime.fromtimestamp(math.floor(moment.timestamp()), OSLO)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _is_expression(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


TEXT = Form("text", lambda value: isinstance(value, str))
FLAG = Form("true or false", lambda value: isinstance(value, bool))
ANYTHING = Form("anything", lambda _value: True)
OBJECT = Form("an object", lambda value: isinstance(value, dict))
LIST = Form("a list", lambda value: isinstance(value, list))
TEXTS = Form("a list of texts", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value))
DAY = Form("a date as YYYY-MM-DD", _is_day)
DAY_OF_A_POPULATION = Form(f"a date as YYYY-MM-DD from {YEARS[0]} to {YEARS[-1]}", _is_day_of_a_population)
MOMENT = Form("a moment of the calendar in ISO 8601, with its zone", _is_moment)
EXPRESSION = Form("a regular expression", _is_expression)
SECONDS = number(0, LONGEST_S)
RETRY_AFTER = Form(
    f"{SECONDS.must_be}, or text that a header can hold",
    lambda value: SECONDS.fits(value) or (isinstance(value, str) and _HEADER_TEXT.fullmatch(value) is not None),
)
