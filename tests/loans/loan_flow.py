"""The flow of loans: find the loan, then remind the borrower."""

from collections.abc import Sequence
from typing import Any, Final

from pymongo.collection import Collection

from casebridge.database import Document
from casebridge.errors import CaseError, PermanentError
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.outbox.effect import Announcer
from casebridge.messaging.queue.message import Message, MessageStatus, PendingEffect
from casebridge.messaging.queue.outcome import Outcome
from tests.loans.loan import Loans

QUEUE: Final = "library-loans"
RECEIPT: Final = "library-receipt"


class LoanPayload(Payload):
    """The payload of a message: the loan that it is about."""

    loan_id: str


class FoundLoan(StepResult):
    """Result of `find_loan`: the shelf on which the book belongs."""

    step = "find_loan"
    shelf: str


class Reminded(StepResult):
    """Result of `remind`: the reminder's id in the library's system."""

    step = "remind"
    reminder_id: str


class LoanFlow(Flow):
    """`find_loan` → `remind`."""

    queue = QUEUE
    payload = LoanPayload

    def __init__(self, loans: Loans, library: Collection[Document], reminders: Collection[Document]) -> None:
        self._loans = loans
        self._library = library
        self._reminders = reminders

    @property
    def steps(self) -> Steps:
        return (Step(FoundLoan, self._find, read_only=True), Step(Reminded, self._remind))

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {"shelf": message.steps["find_loan"].result.get("shelf") if "find_loan" in message.steps else None}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        self._loans.remind([LoanPayload.of(one).loan_id for one in messages if Reminded.found_in(one)])

    def set_aside(self, message: Message, error: CaseError) -> None:
        self._loans.set_aside(message.payload.get("loanId"), error.code)

    def _find(self, message: Message) -> FoundLoan:
        loan = self._library.find_one({"_id": LoanPayload.of(message).loan_id}) or {}
        shelf = loan.get("shelf")
        if not isinstance(shelf, str):
            raise PermanentError(
                "library.shelf_missing",
                "The library does not say on which shelf the book belongs.",
                "Correct the loan in the library's system, then replay the message.",
                system="the library",
            )
        return FoundLoan(shelf=shelf)

    def _remind(self, message: Message) -> Reminded:
        """Write the reminder. Doing it twice writes one reminder, because its id is the loan's id."""
        loan_id = LoanPayload.of(message).loan_id
        self._reminders.update_one({"_id": loan_id}, {"$inc": {"asked": 1}}, upsert=True)
        return Reminded(reminder_id=loan_id)


def receipt_announcer() -> Announcer:
    """Announce a receipt for each reminder."""

    def announce(message: Message, outcome: Outcome) -> Sequence[PendingEffect]:
        if message.queue != QUEUE or outcome.status is not MessageStatus.PROCESSED:
            return ()
        return (PendingEffect.of(message, RECEIPT, {"reminder": Reminded.of(message).reminder_id}),)

    return announce
