"""The flow of exams that a poll could not read: its one step reads the exam, and accepts its rows as a poll does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from casebridge.errors import AuthBrokenError, CaseError, PermanentError
from casebridge.exams.exam_key import exam_name
from casebridge.exams.explanations import exam_message
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.request_flow import institution_of
from casebridge.exams.models import LINE_FAULTS
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Result, Step, StepResult
from casebridge.messaging.queue.message import Message
from casebridge.sources.polling import PollOutcome


class ExamFlow:
    """`read_exam`."""

    queue = exam_message.QUEUE
    dropped_results: tuple[str, ...] = ()

    def __init__(self, institutions: InstitutionRegister, read: Callable[[Institution, str], PollOutcome]) -> None:
        """`read` reads one exam of an institution into the inbox."""
        self._institutions = institutions
        self._read = read

    @property
    def steps(self) -> tuple[Step, ...]:
        return (Step("read_exam", self._read_exam),)

    def prefetch(self, messages: Sequence[Message]) -> None:
        """Nothing: the reader asks for the cases of an exam itself."""

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {**NO_COLUMNS, "vurdId": message.payload.get("vurdId")}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        """Nothing: the rows that were read are messages of their own."""

    def set_aside(self, message: Message, error: CaseError) -> None:
        """Nothing to mark: an exam is no case."""

    def on_lease_lost(self, message: Message) -> None:
        """Nothing to mend: the inbox takes each request once."""

    def _read_exam(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        if "vurdId" not in message.payload:
            raise PermanentError(
                "fs.line_unreadable",
                f"FS's list of changes holds a line that cannot be read: {_fault(message)}.",
                "Show the line (it is in the message in oai.meldingQ) to the FS team; a corrected one comes by itself. Then "
                "discard the message.",
                system="FS",
            )
        vurd_id = message.payload["vurdId"]
        try:
            outcome = self._read(institution_of(message, self._institutions), vurd_id)
        except AuthBrokenError:
            raise  # of the whole institution
        except CaseError as error:
            raise error.of(exam_name(vurd_id)) from None
        return StepResult({"seen": outcome.seen, "accepted": len(outcome.accepted), **outcome.counts})


def _fault(message: Message) -> str:
    """What our own reader wrote down; what else stands there may be anything."""
    fault = message.payload.get("fault")
    return fault if fault in LINE_FAULTS else "the message does not say why"
