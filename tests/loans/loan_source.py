"""The source of loans: each overdue loan in the library's system becomes one case and one message."""

from collections.abc import Sequence

from pymongo.collection import Collection

from casebridge.database import Document
from casebridge.errors import CaseError
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import NewMessage
from casebridge.sources.polling import Polling, PollOutcome
from casebridge.sources.source import PollRange
from tests.loans.loan import Loans
from tests.loans.loan_flow import QUEUE


class LoanSource:
    """Polls the library for the overdue loans of each institution."""

    def __init__(self, library: Collection[Document], loans: Loans, queue: MeldingQ, polling: Polling) -> None:
        self._library = library
        self._loans = loans
        self._queue = queue
        self._polling = polling

    def poll(self, institutions: Sequence[Institution], what: PollRange) -> list[PollOutcome]:
        return self._polling.each(institutions, QUEUE, self._poll, _failed, what.budget_seconds)

    def _poll(self, institution: Institution) -> PollOutcome:
        accepted = []
        found = list(self._library.find({"institution": institution.key}))
        for document in found:
            loan_id = str(document["_id"])
            loan = self._loans.open(loan_id, institution.org_id, institution.env, str(document.get("shelf")))
            message = NewMessage(
                f"{QUEUE}:{loan_id}", QUEUE, institution.org_id, institution.env, loan_id, loan.correlation_id,
                {"loanId": loan_id},
            )  # fmt: skip
            if self._queue.accept([message]):
                accepted.append(loan.correlation_id)
        return PollOutcome(institution.key, len(found), tuple(accepted), len(found) - len(accepted))


def _failed(_institution: Institution, _error: CaseError) -> int:
    return 1
