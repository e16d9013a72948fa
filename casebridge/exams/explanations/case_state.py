"""The states of an explanation (contract 6.1) and the allowed transitions between them, as they stand in its document."""

from enum import StrEnum
from typing import Final

from casebridge.cases.lifecycle import Lifecycle


class CaseState(StrEnum):
    """How far a case has come. `withdrawn`: finished in FS by hand before we had an answer."""

    REQUESTED = "requested"
    DISPATCHED = "dispatched"
    REGISTERED = "registered"
    SHOWN = "shown"
    WITHDRAWN = "withdrawn"


OPEN: Final = (CaseState.REQUESTED.value, CaseState.DISPATCHED.value)
LIFECYCLE: Final = Lifecycle(
    initial=CaseState.REQUESTED,
    transitions={
        # The answer may be there before we have written down that the exam system has the request.
        CaseState.REQUESTED: (CaseState.DISPATCHED, CaseState.REGISTERED, CaseState.WITHDRAWN),
        CaseState.DISPATCHED: (CaseState.REGISTERED, CaseState.WITHDRAWN),
        CaseState.REGISTERED: (CaseState.SHOWN,),
        CaseState.SHOWN: (),
        # FS may take back that it is finished, or take our answer after all.
        CaseState.WITHDRAWN: (CaseState.REQUESTED, CaseState.REGISTERED),
    },
    open=OPEN,
    # A dispatched case waits for its assessor: the poll of answers finds it, not a message.
    needs_message=(CaseState.REQUESTED.value,),
)
