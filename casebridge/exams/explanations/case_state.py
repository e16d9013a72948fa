"""The states of an explanation case (contract 6.1), as they are stored, and the allowed transitions between them."""

from enum import StrEnum
from typing import Final

from casebridge.cases.lifecycle import Lifecycle


class CaseState(StrEnum):
    """How far a case has come. `withdrawn` means that it was finished in FS by hand before we had an answer."""

    REQUESTED = "requested"
    DISPATCHED = "dispatched"
    REGISTERED = "registered"
    SHOWN = "shown"
    WITHDRAWN = "withdrawn"


OPEN: Final = (CaseState.REQUESTED.value, CaseState.DISPATCHED.value)
LIFECYCLE: Final = Lifecycle(
    initial=CaseState.REQUESTED,
    transitions={
        # The answer may come before we have stored that the exam system has the request.
        CaseState.REQUESTED: (CaseState.DISPATCHED, CaseState.REGISTERED, CaseState.WITHDRAWN),
        CaseState.DISPATCHED: (CaseState.REGISTERED, CaseState.WITHDRAWN),
        CaseState.REGISTERED: (CaseState.SHOWN,),
        CaseState.SHOWN: (),
        # FS may open the request again, or accept our answer after all.
        CaseState.WITHDRAWN: (CaseState.REQUESTED, CaseState.REGISTERED),
    },
    open=OPEN,
    # A dispatched case waits for its assessor. It needs no message, because the poll of answers finds it.
    needs_message=(CaseState.REQUESTED.value,),
)
