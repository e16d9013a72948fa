"""How long the loops of a listener wait."""

from typing import Final

AWAY_SECONDS: Final = 0.5
"""Until what the database did not take is tried again."""
LOOK_AROUND_SECONDS: Final = 1.0
"""How often a process looks for what is due and of which nobody notifies it: effects that others left behind, alerts, pauses."""
