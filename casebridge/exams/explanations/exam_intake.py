"""Takes the rows of exams into the inbox, and compares them with our cases: what is open, finished, removed or open again in FS.

The source of the rows does not matter: a poll's whole read, or one exam by itself.
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
"""Of each case: whose row it is compared with."""
TIMES: Final = ("openedAt", "reopenedAt", "registeredAt", "openAgainAt")
"""Of each case: what is compared with the time of the look. Far ahead of that, it would hide for ever what FS does."""
FIRST_SYSTEM: Final = "WISEFLOW"
"""Keys of its rows do not name the exam system: earlier releases named none."""
REGISTERED: Final = (CaseState.REGISTERED, CaseState.SHOWN)

Person = tuple[str, int]
Unfit = tuple[ExplanationRequest, str]
"""A request that a defect kept from being carried, and the defect's type."""
Reopened = Callable[[Institution, Sequence[Case]], Sequence[NewMessage]]
CompareGone = Callable[[Institution, Sequence[Case], Sequence[Case]], None]


@dataclass(frozen=True)
class Window:
    """Which requests of a read are wanted: those asked for in [start, end). For backfills of one month."""

    start: date
    end: date

    def holds(self, request: ExplanationRequest) -> bool:
        return self.start <= request.dato_klage_mottatt < self.end


@dataclass(frozen=True)
class ExamRows:
    """Raw rows of one exam; `whole` if FS was asked for all of them."""

    vurd_id: str
    rows: Sequence[Any] = field(repr=False)
    whole: bool


@dataclass
class Taken:
    """What became of the rows, in counts; `open_cases` and `finished_cases` are correlation ids of the cases of those rows."""

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
    """Only feeds the inbox and withdraws cases that FS has settled; safe to run side by side with itself."""

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
        """`reopened` gives the messages for cases that are registered with us, and open again in FS."""
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
        """Accept what is open, withdraw what FS has settled. `began` is from before the rows were read.

        A row that a defect kept from being carried has its exam read again by a message, which is retried; where that is what
        reads now (`by_itself`), the row is set aside.
        """
        read = [(exam.vurd_id, read_row(row)) for exam in exams for row in exam.rows]
        misstated = [(vurd_id, row) for vurd_id, row in read if isinstance(row, UnreadableRow)]
        bad = [row for _, row in misstated]
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
        messages, carried, unfit = self._open(institution, opened)
        messages += self._anew([self._unreadable(institution, row) for row in bad])
        left = [self._unfit(institution, row, by_itself=by_itself) for row in unfit]
        messages += self._anew(left) if by_itself else left
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
            unreadable=len(bad) + len(unfit),
            merged=sum(max(0, sum(not row.finished_in_fs for row in group) - 1) for group in people.values()),
            removed=len(removed),
            gone=len(gone),
            reopened=len(again),
            open_cases=tuple(sorted(carried)),
            finished_cases=tuple(sorted(case.correlation_id for case in finished)),
        )

    def is_open_here(self, institution: Institution, rows: Iterable[Any], vurd_id: str) -> bool:
        """Whether one of these finished rows is of a case that is open with us: its exam must be read whole before a judgment."""
        read = [row for row in map(read_row, rows) if not isinstance(row, UnreadableRow)]
        finished = {_person(row) for row in read if row.finished_in_fs}
        if not finished:
            return False
        known = self._known(institution, [ExamRows(vurd_id, (), whole=False)])
        return any(person in known and known[person].state in OPEN for person in finished)

    def _known(self, institution: Institution, exams: Sequence[ExamRows]) -> dict[Person, Case]:
        """Our cases on these exams. A document that cannot be read is passed over, and people are told."""
        documents = self._cases.documents_on_exams(institution, {exam.vurd_id for exam in exams})
        if active_again := [document["_id"] for document in documents if document.get(INACTIVE_TOLD)]:
            self._cases.clear_mark(active_again, INACTIVE_TOLD)
        return dict(self._unreadable_cases.pass_over(institution, documents, self._of_person))

    def _of_person(self, document: Document) -> tuple[Person, Case]:
        """Raises where the document lacks what a case is compared with FS by: whose it is, and when it came so far."""
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
        """Our cases on exams that were read whole, without a row there.

        `misstated` are rows with the exam that they came with. Not who has one there; nobody there while one does not say whose
        it is.
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
        """Audit first, then the case. What a message of the case is at work on is left to it: the next look decides."""
        busy = self._queue.at_work([case.id for case in cases]) if cases else set()
        # Read again after that: a message writes what it means for its case before it is done.
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
    ) -> tuple[list[NewMessage], set[str], list[Unfit]]:
        """Messages of open requests, their cases' correlation ids, and the rows that could not be carried.

        All at once; each by itself when something in one of them stops that.
        """
        if not requests:
            return [], set(), []
        try:
            messages = self._messages(institution, requests)
        except Exception as error:
            if is_away(error):
                raise
            log_defect(error)  # whose it is, is found by taking each alone
            if len(requests) > 1:
                parts = [self._open(institution, [request]) for request in requests]
                return (
                    [message for part in parts for message in part[0]],
                    {carried for part in parts for carried in part[1]},
                    [row for part in parts for row in part[2]],
                )
            return [], set(), [(requests[0], type(error).__name__)]
        return messages, {message.correlation_id for message in messages}, []

    def _messages(self, institution: Institution, requests: Sequence[ExplanationRequest]) -> list[NewMessage]:
        """Cases first, then messages. Not of a case that cannot be compared with its row: nobody would see what FS does."""
        cases = open_cases(self._cases, institution, requests)
        documents = [case.document for case in cases.values()]
        sound = {case.id for _, case in self._unreadable_cases.pass_over(institution, documents, self._of_person)}
        for case in cases.values():
            if case.state is CaseState.WITHDRAWN and case.id in sound:
                self._cases.reopen(case.id)
        of_request = {request: cases[case_id(institution, request)] for request in requests}
        return [
            request_message(institution, request, cases) for request, case in of_request.items() if case.id in sound
        ]

    def _unfit(self, institution: Institution, unfit: Unfit, *, by_itself: bool) -> NewMessage:
        request, why = unfit
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

    def _anew(self, messages: Sequence[NewMessage]) -> list[NewMessage]:
        """Messages of rows that cannot be read. One that is settled was right, or gone, in between: it has a further key."""
        told: list[NewMessage] = []
        keys, left, times = {message.key: message.key for message in messages}, list(messages), 0
        while left:
            settled = self._queue.settled(keys.values())
            told += [replace(message, key=keys[message.key]) for message in left if keys[message.key] not in settled]
            left, times = [message for message in left if keys[message.key] in settled], times + 1
            keys = {message.key: short_hash(message.key, times) for message in left}
        return told


def row_key(institution: Institution, identity: str) -> str:
    """The key of a row that cannot be read."""
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
