"""The history of one case, step by step: the answer to "where is this request?"."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from casebridge.audit.log import AuditLog
from casebridge.cases.case import Case, Link
from casebridge.cases.operator_cases import OperatorCases
from casebridge.database import Document
from casebridge.messaging.queue.message import LONG_AGO, MessageStatus
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators import stored_fields
from casebridge.operators.dead_letter import LOOK_AT_IT, Instruction, discarded_of
from casebridge.safe_names import ALL_NAMES, SafeNames
from casebridge.tenant import institution_name

MOST_MESSAGES: Final = 100
MORE_MESSAGES: Final = "more messages of this case are not shown: too many, or too large; they are in oai.meldingQ"
MOST_DETAILS: Final = 20
LONGEST_DETAIL: Final = 200


@dataclass(frozen=True)
class Milestone:
    """One entry of the audit, as it is shown to operators."""

    time: datetime
    submodule: str
    step: str
    success: bool
    told: str
    duration_ms: int | None


@dataclass(frozen=True)
class CaseHistory:
    """The state of a case, what has happened, and what is to be done, if anything."""

    correlation_id: str
    institution: str
    exam_system: str
    state: str
    deadline: datetime | None
    set_aside: str | None
    discarded: Instruction | None
    milestones: list[Milestone]
    waiting: list[str]
    next_action: str | None
    milestones_found: int = 0
    """How many steps there are. If not all are shown, `milestones` has the newest."""
    links: tuple[Link, ...] = ()
    """Other cases that this one refers to."""

    def plain(self) -> dict[str, Any]:
        """The fields for JSON. `links` is included only if the case has any."""
        plain = asdict(self)
        if not self.links:
            del plain["links"]
        return plain


class CaseHistoryReader:
    """Builds the histories of cases of all capabilities, from the case, its live messages and the audit. No personal data."""

    def __init__(
        self, cases: Sequence[OperatorCases], messages: StoredMessages, audit: AuditLog, names: SafeNames = ALL_NAMES
    ) -> None:
        """`cases` has the cases of each capability. `names` says which names of institutions and queues may be shown."""
        self._names = names
        self._messages = messages
        self._cases = cases
        self._audit = audit

    def by_correlation_id(self, correlation_id: str, before: datetime | None = None) -> CaseHistory | None:
        """The history of a case; `None` if nothing is known of it. With `before`, only steps before that time are shown.

        Use `before` to see the older steps of a history that does not show all.
        """
        found = (cases.by_correlation_id(correlation_id) for cases in self._cases)
        return self._history(correlation_id, next(filter(None, found), None), before)

    def of(self, cases: Iterable[Case]) -> list[CaseHistory]:
        """The histories of cases that a capability has found by its own fields, such as exam and candidate."""
        return [history for case in cases if (history := self._history(case.correlation_id, case))]

    def _history(self, correlation_id: str, case: Case | None, before: datetime | None = None) -> CaseHistory | None:
        messages = self._messages.of_case(correlation_id, MOST_MESSAGES)
        entries, entries_found = self._audit.of_case(correlation_id, before)
        if case is None and not messages and not entries:
            return None
        any_document: Document = case.document if case else (messages or entries)[0]
        return CaseHistory(
            correlation_id=correlation_id,
            institution=self._names.institution(_institution(any_document)),
            exam_system=self._names.exam_system(any_document.get("examSystem", any_document.get("examSys"))),
            state=stored_fields.text(any_document, "state") if case else "no case",
            deadline=case.deadline if case else None,
            set_aside=_set_aside(case),
            discarded=_discarded(case, messages),
            milestones=[_milestone(self._names.of_document(entry)) for entry in entries],
            milestones_found=entries_found,
            waiting=[
                *(
                    _waiting(message, self._names)
                    for message in messages
                    if message.get("status") != MessageStatus.PROCESSED
                ),
                *([MORE_MESSAGES] if messages.oversized or messages.is_cut else []),
            ],
            next_action=_next_action(messages),
            links=case.links if case else (),
        )


def _institution(document: Document) -> str:
    return stored_fields.text(document, "institution", institution_name(document.get("orgId"), document.get("env")))


def _milestone(entry: Document) -> Milestone:
    detail = ", ".join(
        f"{name}={str(value)[:LONGEST_DETAIL]}"
        for name, value in islice(stored_fields.mapping(entry, "detail").items(), MOST_DETAILS)
        if name != "textHash"
    )
    return Milestone(
        stored_fields.time(entry, "time") or LONG_AGO,
        stored_fields.text(entry, "submodule"),
        stored_fields.text(entry, "step"),
        entry.get("success") is True,
        stored_fields.text(entry, "errorMessage", detail),
        stored_fields.number(entry, "durationMs") if "durationMs" in entry else None,
    )


def _set_aside(case: Case | None) -> str | None:
    if case is None or case.is_discarded:
        return None
    return stored_fields.text(case.document, "setAside", "") or None


def _discarded(case: Case | None, messages: list[Document]) -> Instruction | None:
    """Who discarded the case, when and why. Without a case, the same of its messages: an unreadable message has no case."""
    if case:
        return discarded_of(case.document) if case.is_discarded else None
    return next(filter(None, map(discarded_of, messages)), None)


def _waiting(message: Document, names: SafeNames) -> str:
    due = stored_fields.time(message, "dueAt")
    when = f", due {due:%Y-%m-%d %H:%M:%S} UTC" if due else ""
    attempts = stored_fields.number(message, "attempts")
    return f"{names.submodule(message.get('queue'))}: {stored_fields.text(message, 'status')} after {attempts} attempts{when}"


def _next_action(messages: list[Document]) -> str | None:
    for message in reversed(messages):
        errors = stored_fields.mappings(message, "errors")
        if message.get("status") in (MessageStatus.DEAD, MessageStatus.FAILED) and errors:
            return stored_fields.text(errors[-1], "nextAction", LOOK_AT_IT)
    return None
