"""Brings names that earlier versions stored into the spelling that this version searches for. Part of `casebridge prepare`.

Earlier versions stored organisation, environment and exam system as the configuration spelled them. Where that is not the one
spelling (`casebridge.tenant`):

- Messages and cases get the names by which lanes, polls and the counts of `status` find them.
- A case keeps its id. Its capability also searches for the old id.
- Pauses and watermarks are found in both forms, and stay as they are.

It may be repeated, ended at any point, and run twice at once.
"""

from collections.abc import Sequence

from casebridge.cases.operator_cases import OperatorCases
from casebridge.messaging.queue.lanes import Lanes, forget_old
from casebridge.messaging.queue.stored_messages import StoredMessages


class Rekeying:
    """Reads each collection once, in groups of names. Changes only documents whose names are not in the one spelling."""

    def __init__(self, lanes: Lanes, messages: StoredMessages, cases: Sequence[OperatorCases]) -> None:
        """`cases` has the cases of each capability."""
        self._lanes = lanes
        self._messages = messages
        self._cases = cases

    def run(self) -> int:
        """Correct the names. Returns how many documents were changed or removed."""
        of_cases = (cases.respell_names() for cases in self._cases)
        return forget_old(self._lanes.collection) + self._messages.respell_names() + sum(of_cases)
