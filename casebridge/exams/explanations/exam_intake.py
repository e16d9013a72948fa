"""Puts the open rows of exams into the inbox, and compares all rows with our cases.

The comparison finds cases that are finished, removed or open again in FS. The rows come from a poll, or from the read of one
exam by itself.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock, is_far_ahead
from casebridge.correlation_id import new_correlation_id
from casebridge.database import Document
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.exams.explanations import request_intake
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.explanations.case_state import OPEN, CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_message import exam_message
from casebridge.exams.explanations.registered_identity import RegisteredIdentities
from casebridge.exams.explanations.request_intake import open_cases, request_message
from casebridge.exams.explanations.unreadable_cases import UnreadableCases
from casebridge.exams.fs_rows import UnreadableRow, by_person, canonical, chosen_row, read_row, unreadable
from casebridge.exams.models import ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.institutions.former_institution import INACTIVE_TOLD
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import LONG_AGO, NewMessage, moment_of
from casebridge.readable_documents import check_kinds

logger = logging.getLogger(__name__)

SUBMODULE: Final = "klage-beg-dispatcher"
COMPARED_BY: Final = {"vurdId": str, "personlopenr": int}
"""The fields of a case that say which row it is compared with, and their types."""
TIMES: Final = ("openedAt", "reopenedAt", "registeredAt", "openAgainAt")
"""The times of a case that are compared with the time of the read.

If one lay far in the future, changes in FS would never be noticed.
"""
FIRST_SYSTEM: Final = "WISEFLOW"
"""The message keys of this system's rows do not contain the exam system, as in earlier releases."""
REGISTERED: Final = (CaseState.REGISTERED, CaseState.SHOWN)

Person = tuple[str, int]
FailedRequest = tuple[ExplanationRequest, str]
"""A request that could not be handled because of a defect, and the type of the defect."""
Reopened = Callable[[Institution, Sequence[Case]], Sequence[NewMessage]]
CompareGone = Callable[[Institution, Sequence[Case], Sequence[Case]], None]


@dataclass(frozen=True)
class Window:
    """Limits a read to requests of the days [start, end). Used for backfills of one month."""

    start: date
    end: date

    def holds(self, request: ExplanationRequest) -> bool:
        return self.start <= request.dato_klage_mottatt < self.end


@dataclass(frozen=True)
class ExamRows:
    """Raw rows of one exam. `whole` says that these are all rows that FS has."""

    vurd_id: str
    rows: Sequence[Any] = field(repr=False)
    whole: bool


@dataclass
class Taken:
    """How many rows came to which result. `open_cases` and `finished_cases` are the correlation ids of the rows' cases."""

    accepted: list[str] = field(default_factory=list)
    open: int = 0
    finished: int = 0
    unreadable: int = 0
    merged: int = 0
    removed: int = 0
    gone: int = 0
    reopened: int = 0
    open_cases: tuple[str, ...] = ()
    finished_cases: tuple[str, ...] = ()


class ExamIntake:
    """Puts messages into the inbox and withdraws cases that are finished in FS. Several may run at once."""

    def __init__(
        self,
        queue: MeldingQ,
        cases: Cases,
        audit: AuditLog,
        clock: Clock,
        reopened: Reopened,
        compare_gone: CompareGone,
        alerts: AlertOutbox,
    ) -> None:
        """`reopened` returns messages for cases that we registered and that are open again in FS.

        `compare_gone` gets the registered cases that have no row, and then the cases that have one.
        """
        self._queue = queue
        self._cases = cases
        self._audit = audit
        self._clock = clock
        self._reopened = reopened
        self._compare_gone = compare_gone
        self._unreadable_cases = UnreadableCases(alerts, SUBMODULE)
        self._registered_identities = RegisteredIdentities(cases, alerts, clock, SUBMODULE)

    def take(
        self,
        institution: Institution,
        exams: Sequence[ExamRows],
        began: datetime,
        window: Window | None = None,
        *,
        by_itself: bool = False,
    ) -> Taken:
        """Accept open requests and withdraw cases that are finished or removed in FS. `began` is a time before the read.

        If a row meets a defect, a message reads its exam again, with retries. If that message is the caller (`by_itself`), the
        row is set aside.
        """
        read = [(exam.vurd_id, read_row(row)) for exam in exams for row in exam.rows]
        misstated = [(vurd_id, row) for vurd_id, row in read if isinstance(row, UnreadableRow)]
        unreadable_rows = [row for _, row in misstated]
        readable = (row for _, row in read if not isinstance(row, UnreadableRow))
        people = {_person(group[0]): group for group in by_person(readable)}
        chosen = {person: chosen_row(group) for person, group in people.items()}
        wanted = {person: row for person, row in chosen.items() if window is None or window.holds(row)}
        known = self._known(institution, exams)
        opened = [row for row in wanted.values() if not row.finished_in_fs]
        finished = [known[person] for person, row in wanted.items() if row.finished_in_fs and person in known]
        rowless = self._rowless(exams, misstated, chosen, known, began)
        removed = [case for case in rowless if case.state in OPEN]
        gone = [case for case in rowless if _was_registered(case, began)]
        self._withdraw(institution, [case for case in finished if case.state in OPEN], "finished_in_fs")
        self._withdraw(institution, removed, "row_removed")
        again = [
            known[_person(row)]
            for row in opened
            if _person(row) in known and _was_registered(known[_person(row)], began)
        ]
        messages, with_message, failed = self._open(institution, opened)
        messages += self._with_free_keys([self._unreadable(institution, row) for row in unreadable_rows])
        left = [self._message_of_failed(institution, row, by_itself=by_itself) for row in failed]
        messages += self._with_free_keys(left) if by_itself else left
        self._compare_gone(institution, gone, [case for person, case in known.items() if person in chosen])
        self._registered_identities.compare(
            institution,
            [
                (known[person], people[person])
                for person, row in chosen.items()
                if row.finished_in_fs and person in known and _was_registered(known[person], began)
            ],
        )
        if again:
            messages += self._reopened(institution, again)
        correlation_ids = {message.key: message.correlation_id for message in messages}
        accepted = [correlation_ids[key] for key in self._queue.accept(messages)]
        return Taken(
            accepted=accepted,
            open=len(opened),
            finished=len(wanted) - len(opened),
            unreadable=len(unreadable_rows) + len(failed),
            merged=sum(max(0, sum(not row.finished_in_fs for row in group) - 1) for group in people.values()),
            removed=len(removed),
            gone=len(gone),
            reopened=len(again),
            open_cases=tuple(sorted(with_message)),
            finished_cases=tuple(sorted(case.correlation_id for case in finished)),
        )

    def is_open_here(self, institution: Institution, rows: Iterable[Any], vurd_id: str) -> bool:
        """Whether one of these finished rows belongs to a case that is open here. Then the whole exam must be read first."""
        read = [row for row in map(read_row, rows) if not isinstance(row, UnreadableRow)]
        finished = {_person(row) for row in read if row.finished_in_fs}
        if not finished:
            return False
        known = self._known(institution, [ExamRows(vurd_id, (), whole=False)])
        return any(person in known and known[person].state in OPEN for person in finished)

    def _known(self, institution: Institution, exams: Sequence[ExamRows]) -> dict[Person, Case]:
        """Our cases on these exams. Documents that cannot be read are skipped, and an alert names them."""
        documents = self._cases.documents_on_exams(institution, {exam.vurd_id for exam in exams})
        if active_again := [document["_id"] for document in documents if document.get(INACTIVE_TOLD)]:
            self._cases.clear_mark(active_again, INACTIVE_TOLD)
        return dict(self._unreadable_cases.pass_over(institution, documents, self._comparable))

    def _comparable(self, document: Document) -> tuple[Person, Case]:
        """Raises if a field that the comparison with FS needs is missing, or if one of the times lies far in the future."""
        check_kinds(document, COMPARED_BY)
        case = Case.from_document(document)
        if case.state in REGISTERED:
            check_kinds(document, {"registeredAt": datetime})
        now = self._clock.now()
        for name in TIMES:
            if (at := moment_of(document, name)) is not None and is_far_ahead(at, now):
                raise ValueError(name)
        return (canonical(document["vurdId"]), document["personlopenr"]), case

    def _rowless(
        self,
        exams: Sequence[ExamRows],
        misstated: Sequence[tuple[str, UnreadableRow]],
        rows: dict[Person, ExplanationRequest],
        known: dict[Person, Case],
        began: datetime,
    ) -> list[Case]:
        """Our cases that have no row on an exam that was read whole.

        `misstated` are the unreadable rows with their exams. A person with an unreadable row has a row. If an unreadable row does
        not say whose it is, no case of its exam counts as being without a row.
        """
        unread = {(canonical(vurd_id), row.personlopenr) for vurd_id, row in misstated}
        whole = {canonical(exam.vurd_id) for exam in exams if exam.whole} - {
            exam for exam, person in unread if person is None
        }
        return [
            case
            for (exam, person), case in known.items()
            if exam in whole
            and (exam, person) not in rows
            and (exam, person) not in unread
            and _opened_at(case) < began
        ]

    def _withdraw(self, institution: Institution, cases: Sequence[Case], why: str) -> None:
        """Write the audit entries, then withdraw the cases. Cases whose message is being handled are left to a later read."""
        busy = self._queue.at_work([case.id for case in cases]) if cases else set()
        # The cases are read again now, because a message changes its case before it is finished.
        cases = [case for case in self._cases.by_ids({case.id for case in cases} - busy) if case.state in OPEN]
        if not cases:
            return
        now = self._clock.now()
        self._audit.add([_withdrawal(institution, case, why, now) for case in cases])
        self._cases.withdraw([case.id for case in cases])
        for case in cases:
            logger.info("case %s: withdrawn, %s", case.correlation_id, why)

    def _open(
        self, institution: Institution, requests: Sequence[ExplanationRequest]
    ) -> tuple[list[NewMessage], set[str], list[FailedRequest]]:
        """The messages of open requests, the correlation ids of their cases, and the requests that failed.

        All requests are tried at once. If that fails, each is tried by itself.
        """
        if not requests:
            return [], set(), []
        try:
            messages = self._messages(institution, requests)
        except Exception as error:
            if is_away(error):
                raise
            log_defect(error)  # trying each by itself shows which one it was
            if len(requests) > 1:
                parts = [self._open(institution, [request]) for request in requests]
                return (
                    [message for part in parts for message in part[0]],
                    {with_message for part in parts for with_message in part[1]},
                    [row for part in parts for row in part[2]],
                )
            return [], set(), [(requests[0], type(error).__name__)]
        return messages, {message.correlation_id for message in messages}, []

    def _messages(self, institution: Institution, requests: Sequence[ExplanationRequest]) -> list[NewMessage]:
        """Open the cases, then make the messages. A case that cannot be compared with FS gets none: changes go unnoticed."""
        cases = open_cases(self._cases, institution, requests)
        documents = [case.document for case in cases.values()]
        sound = {case.id for _, case in self._unreadable_cases.pass_over(institution, documents, self._comparable)}
        for case in cases.values():
            if case.state is CaseState.WITHDRAWN and case.id in sound:
                self._cases.reopen(case.id)
        of_request = {request: cases[case_id(institution, request)] for request in requests}
        return [
            request_message(institution, request, cases) for request, case in of_request.items() if case.id in sound
        ]

    def _message_of_failed(self, institution: Institution, failed: FailedRequest, *, by_itself: bool) -> NewMessage:
        request, why = failed
        if by_itself:
            row = request.model_dump(mode="json", by_alias=True)
            return self._unreadable(institution, unreadable(row, f"something ({why})"))
        return exam_message(institution, request.vurd_id, None, self._clock.now())

    def _unreadable(self, institution: Institution, row: UnreadableRow) -> NewMessage:
        key = row_key(institution, row.identity)
        return NewMessage(
            key=key,
            queue=request_intake.QUEUE,
            org_id=institution.org_id,
            env=institution.env,
            exam_system=institution.exam_system,
            ordering_key=key,
            correlation_id=new_correlation_id(self._clock.now()),
            payload={"caseId": None, "unreadable": row.raw, "fields": row.fields},
        )

    def _with_free_keys(self, messages: Sequence[NewMessage]) -> list[NewMessage]:
        """The messages of unreadable rows, with keys that are not settled yet.

        If a message with the key is settled, the row was corrected or gone in between. The new message then gets another key.
        """
        renewed: list[NewMessage] = []
        keys, left, times = {message.key: message.key for message in messages}, list(messages), 0
        while left:
            settled = self._queue.settled(keys.values())
            renewed += [replace(message, key=keys[message.key]) for message in left if keys[message.key] not in settled]
            left, times = [message for message in left if keys[message.key] in settled], times + 1
            keys = {message.key: short_hash(message.key, times) for message in left}
        return renewed


def row_key(institution: Institution, identity: str) -> str:
    """The message key of an unreadable row."""
    system = institution.exam_system
    return short_hash(request_intake.QUEUE, institution.key, *([] if system == FIRST_SYSTEM else [system]), identity)


def _person(request: ExplanationRequest) -> Person:
    return canonical(request.vurd_id), request.personlopenr


def _opened_at(case: Case) -> datetime:
    return max(moment_of(case.document, name) or LONG_AGO for name in ("openedAt", "reopenedAt"))


def _was_registered(case: Case, began: datetime) -> bool:
    registered_at = moment_of(case.document, "registeredAt")
    return case.state in REGISTERED and registered_at is not None and registered_at < began


def _withdrawal(institution: Institution, case: Case, why: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        id=f"{case.correlation_id}:withdrawn:{why}:{_opened_at(case).isoformat()}",
        time=now,
        correlation_id=case.correlation_id,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        submodule=SUBMODULE,
        step="compare",
        success=True,
        fields={**NO_COLUMNS, "vurdId": case.document["vurdId"]},
        detail={"outcome": "withdrawn", "because": why},
    )
