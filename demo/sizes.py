"""How large a simulated population may be: all of it is held in memory."""

from typing import Final

MOST_INSTITUTIONS: Final = 500
MOST_COURSES: Final = 20_000
MOST_REQUESTS: Final = 200_000
MOST_DAYS: Final = 366
MOST_SEED: Final = 2**32 - 1
