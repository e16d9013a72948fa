"""The flow of exams that a poll could not read. Its only step reads the exam and accepts its rows, as a poll does."""

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict

from casebridge.errors import AuthBrokenError, CaseError, PermanentError
from casebridge.exams.exam_key import exam_name
from casebridge.exams.explanations import exam_message
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.request_flow import institution_of
from casebridge.exams.models import LINE_FAULTS
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.queue.message import Message
from casebridge.sources.polling import PollOutcome


class ExamPayload(Payload):
    """An exam that a poll could not read. Without `vurd_id`, an unreadable line of FS's list."""

    vurd_id: str | None = None
    fault: Any = None

    @property
    def safe_fault(self) -> str:
        """The fault, if it is one of our own texts. Anything else may come from outside and is not shown."""
        is_ours = isinstance(self.fault, str) and self.fault in LINE_FAULTS
        return self.fault if is_ours else "the message does not say why"


class ExamRead(StepResult):
    """The counts of the exam's read, as in `PollOutcome`."""

    model_config = ConfigDict(extra="allow")

    step = "read_exam"

    seen: int
    accepted: int


class ExamFlow(Flow):
    """`read_exam`."""

    queue = exam_message.QUEUE
    payload = ExamPayload

    def __init__(self, institutions: InstitutionRegister, read: Callable[[Institution, str], PollOutcome]) -> None:
        """`read` reads one exam of an institution into the inbox."""
        self._institutions = institutions
        self._read = read

    @property
    def steps(self) -> Steps:
        return (Step(ExamRead, self._read_exam),)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {**NO_COLUMNS, "vurdId": message.payload.get("vurdId")}

    def _read_exam(self, message: Message) -> ExamRead:
        payload = ExamPayload.of(message)
        if payload.vurd_id is None:
            raise PermanentError(
                "fs.line_unreadable",
                f"FS's list of changes holds a line that cannot be read: {payload.safe_fault}.",
                "Show the line (it is in the message in oai.meldingQ) to the FS team. The next poll reads the corrected line. "
                "Then discard the message.",
                system="FS",
            )
        try:
            outcome = self._read(institution_of(message, self._institutions), payload.vurd_id)
        except AuthBrokenError:
            raise  # it concerns the whole institution, not this exam
        except CaseError as error:
            raise error.of(exam_name(payload.vurd_id)) from None
        return ExamRead.model_validate({"seen": outcome.seen, "accepted": len(outcome.accepted), **outcome.counts})
