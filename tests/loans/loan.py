"""The case of this capability: an overdue loan, stored in a collection of its own."""

from collections.abc import Sequence
from typing import Final

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection

from casebridge.cases.case import Case
from casebridge.cases.lifecycle import Lifecycle
from casebridge.cases.store import CaseStore
from casebridge.clock import Clock
from casebridge.database import Document

OVERDUE: Final = "overdue"
REMINDED: Final = "reminded"
INDEXES: Final = (IndexModel([("shelf", ASCENDING)]),)
"""Further indexes, besides those that every kind of case has."""


class Loan(Case):
    """One overdue loan of one library."""

    lifecycle = Lifecycle(
        initial=OVERDUE, transitions={OVERDUE: (REMINDED,), REMINDED: ()}, open=(OVERDUE,), needs_message=(OVERDUE,)
    )


class Loans(CaseStore[Loan]):
    """Reads and writes loans in the collection that it is given."""

    def __init__(self, collection: Collection[Document], clock: Clock) -> None:
        super().__init__(collection, clock, Loan, ("shelf",))

    def open(self, key: str, org_id: str, env: str, shelf: str) -> Loan:
        """Return the case of a loan. Opens it if it is new."""
        (loan,) = self.insert_new([self.new_document(key, org_id, env, {"shelf": shelf})])
        return loan

    def remind(self, keys: Sequence[str]) -> None:
        self.move(keys, REMINDED)
