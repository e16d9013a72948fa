"""How often the polling sensors tick."""

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "CASEBRIDGE_SENSOR_SECONDS"
DEFAULT_SECONDS: Final = 30
SHORTEST_SECONDS: Final = 1
"""Dagster's daemon checks sensors every five seconds. A sensor with a shorter interval ticks at every check."""


def poll_seconds(environment: Mapping[str, str] | None = None) -> int:
    """The value of `CASEBRIDGE_SENSOR_SECONDS`. It is read once, when the definitions are made: a sensor's interval is fixed.

    Raises `ValueError` for anything but a whole number of at least one second.
    """
    value = (os.environ if environment is None else environment).get(VARIABLE)
    if not value:
        return DEFAULT_SECONDS
    if not value.isdecimal() or int(value) < SHORTEST_SECONDS:
        raise ValueError(f"{VARIABLE} must be a whole number of seconds, at least {SHORTEST_SECONDS}")
    return int(value)
