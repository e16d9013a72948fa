"""How far a case has come: the states of contract 6.1, as they stand in its document."""

from enum import StrEnum
from typing import Final


class CaseState(StrEnum):
    """How far a case has come. `withdrawn`: finished in FS by hand before we had an answer."""

    REQUESTED = "requested"
    DISPATCHED = "dispatched"
    REGISTERED = "registered"
    SHOWN = "shown"
    WITHDRAWN = "withdrawn"


OPEN: Final = (CaseState.REQUESTED.value, CaseState.DISPATCHED.value)
