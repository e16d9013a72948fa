"""Brings what earlier versions wrote under the names that this version looks for: part of `casebridge prepare`.

Earlier versions took organisation, environment and exam system as the configuration spelled them. Where that is not the one
spelling (`casebridge.tenant`), messages and cases get the names by which lanes, polls and the counts of `status` find them. A
case keeps its id: its capability looks it up under the old id, too. Pauses and watermarks are found in both forms and stay as
they are. It may be run again, broken off at any moment, and run side by side with itself: a change leaves nothing to change
again.
"""

from collections.abc import Sequence

from casebridge.cases.operator_cases import OperatorCases
from casebridge.messaging.queue.lanes import Lanes, forget_old
from casebridge.messaging.queue.stored_messages import StoredMessages


class Rekeying:
    """Reads each collection once, in groups of names; changes only documents whose names are not in their one spelling."""

    def __init__(self, lanes: Lanes, messages: StoredMessages, cases: Sequence[OperatorCases]) -> None:
        """`cases` are those of each capability."""
        self._lanes = lanes
        self._messages = messages
        self._cases = cases

    def run(self) -> int:
        """Returns how many documents were changed or removed."""
        of_cases = (cases.respell_names() for cases in self._cases)
        return forget_old(self._lanes.collection) + self._messages.respell_names() + sum(of_cases)
