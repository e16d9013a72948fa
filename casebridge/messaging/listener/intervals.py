"""The waiting times of a listener's loops."""

from typing import Final

AWAY_SECONDS: Final = 0.5
"""The wait before the database is tried again while it is away."""
HOUSEKEEPING_SECONDS: Final = 1.0
"""How often a process looks for things that come due without a notification: effects that others left, alerts, pauses."""
