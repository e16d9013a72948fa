"""The largest sizes of a simulated population. They are limited because all of it is in memory."""

from typing import Final

MOST_INSTITUTIONS: Final = 500
MOST_COURSES: Final = 20_000
MOST_REQUESTS: Final = 200_000
MOST_DAYS: Final = 366
MOST_SEED: Final = 2**32 - 1
