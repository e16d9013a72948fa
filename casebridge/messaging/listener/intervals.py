"""How long the loops of a listener wait."""

from typing import Final

AWAY_SECONDS: Final = 0.5
"""Until what the database did not take is tried again."""
LOOK_AROUND_SECONDS: Final = 1.0
"""How often is looked for effects that other processes left behind, for lanes of institutions that were paused, and for alerts and
pauses that are due."""
