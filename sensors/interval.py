"""How often the polling sensors tick."""

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "CASEBRIDGE_SENSOR_SECONDS"
DEFAULT_SECONDS: Final = 30
SHORTEST_SECONDS: Final = 1
"""Dagster's daemon looks at sensors every five seconds; one that asks for less than that ticks at every look."""


def poll_seconds(environment: Mapping[str, str] | None = None) -> int:
    """`CASEBRIDGE_SENSOR_SECONDS`, read when the definitions are made: Dagster fixes an interval with its sensor.

    Raises `ValueError` for anything but a whole number of at least one second.
    """
    value = (os.environ if environment is None else environment).get(VARIABLE)
    if not value:
        return DEFAULT_SECONDS
    if not value.isdecimal() or int(value) < SHORTEST_SECONDS:
        raise ValueError(f"{VARIABLE} must be a whole number of seconds, at least {SHORTEST_SECONDS}")
    return int(value)
