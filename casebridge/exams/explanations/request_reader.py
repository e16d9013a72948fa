"""The source of requests: it reads explanation requests from FS into the inbox.

1. List the exams that changed since the watermark.
2. Fetch each exam once.
3. Accept each new or changed request once.

A row that cannot be read is not skipped. It becomes a message that dies with a clear error, so that people see it. The same is
true of an unreadable line of the list, and of an exam that FS refuses. A problem with one exam does not stop the others, and the
watermark moves on.
"""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pymongo.errors import PyMongoError

from casebridge import time_limit
from casebridge.clock import Clock
from casebridge.database_faults import is_away
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import AuthBrokenError, CaseError, PermanentError
from casebridge.exams.explanations import exam_message, request_intake
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_intake import SUBMODULE, ExamIntake, ExamRows, Window
from casebridge.exams.explanations.inactive_institutions import InactiveInstitutions
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.exams.fs_rows import canonical
from casebridge.exams.fs_values import OSLO
from casebridge.exams.models import ChangedExam, ExamChanges
from casebridge.exams.ports import Clients, StudentRegistry
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import NewMessage
from casebridge.settings import FsSettings
from casebridge.sources.polling import Polling, PollOutcome
from casebridge.sources.watermarks import Watermarks

__all__ = ["QUEUE", "QUEUES", "SUBMODULE", "RequestReader", "Window"]

QUEUE: Final = request_intake.QUEUE
QUEUES: Final = (exam_message.QUEUE, QUEUE)
"""The queues that a batch of requests handles: single exams, and the requests that are found in them."""
EXAMS_AT_ONCE: Final = 6
MANY_EXAMS: Final = 5
"""If FS refuses at least this many exams and none can be read, the whole read fails. Fewer may be single problems."""
EXAMS_COMPARED: Final = 1000
"""How many exams of an institution one reconciliation reads in addition to those that changed."""


@dataclass
class _Read:
    """The exams that were read, and those that were not, each with its error (`None` if the time was over)."""

    exams: list[ExamRows] = field(default_factory=list)
    left: list[tuple[ChangedExam, CaseError | None]] = field(default_factory=list)


class RequestReader:
    """Polls FS for requests. Several may run at once."""

    def __init__(
        self,
        clients: Clients,
        queue: MeldingQ,
        cases: Cases,
        watermarks: Watermarks,
        polling: Polling,
        clock: Clock,
        settings: FsSettings,
        intake: ExamIntake,
        deadlines: PassedDeadlines,
        inactive: InactiveInstitutions,
    ) -> None:
        self._clients = clients
        self._queue = queue
        self._cases = cases
        self._watermarks = watermarks
        self._polling = polling
        self._clock = clock
        self._settings = settings
        self._intake = intake
        self._deadlines = deadlines
        self._inactive = inactive

    def read_new(
        self,
        institutions: Sequence[Institution],
        *,
        reach_back: timedelta | None = None,
        budget_seconds: float | None = None,
    ) -> list[PollOutcome]:
        """Read what changed since each institution's watermark, and some time before it (the overlap).

        A reconciliation gives `reach_back` as the overlap. It also reads the exams of our cases that are open, or were registered
        or withdrawn in that time.
        """
        overlap = reach_back or timedelta(seconds=self._settings.overlap_seconds)

        def read(institution: Institution) -> PollOutcome:
            return self._read(institution, self._since(institution) - overlap, None, reach_back)

        outcomes = self._polling.each(institutions, SUBMODULE, read, self._watermarks.note_failed_read, budget_seconds)
        self._alert_for_unread(institutions, {outcome.tenant for outcome in outcomes if outcome.skipped})
        return outcomes

    def _alert_for_unread(self, institutions: Sequence[Institution], skipped: set[str]) -> None:
        """Send alerts about deadlines of institutions that were not read: skipped ones and inactive ones."""
        for institution in institutions:
            if institution.tenant in skipped:
                _guarded(partial(self._deadlines.alert, institution))
        _guarded(self._inactive.alert)

    def read_window(self, institutions: Sequence[Institution], window: Window) -> list[PollOutcome]:
        """Read all requests of a window, independent of the watermark (a backfill). The watermark does not change.

        The days of the window are days in Norway's time zone.
        """
        since = datetime.combine(window.start, datetime.min.time(), OSLO)
        read: Callable[[Institution], PollOutcome] = lambda institution: self._read(institution, since, window, None)  # noqa: E731
        return self._polling.each(institutions, SUBMODULE, read, self._watermarks.note_failed_read)

    def read_exam(self, institution: Institution, vurd_id: str) -> PollOutcome:
        """Read one exam by itself. Raises the error of FS."""
        began = self._clock.now()
        rows = self._clients.student_registry(institution).explanation_rows(vurd_id)
        exam = ExamRows(vurd_id, rows, whole=True)
        return self._outcome(institution, [exam], began, None, {}, by_itself=True)

    def _since(self, institution: Institution) -> datetime:
        known = self._watermarks.get(institution).since
        return known or self._clock.now() - timedelta(days=self._settings.first_read_days)

    def _read(
        self, institution: Institution, since: datetime, window: Window | None, reach_back: timedelta | None
    ) -> PollOutcome:
        began = self._clock.now()
        overdue = _guarded(partial(self._deadlines.alert, institution))
        registry = self._clients.student_registry(institution)
        changes = registry.changed_exams(since)
        read = self._exams(institution, registry, changes.exams)
        failure = _error_of_whole_read(read)
        compared = self._compared(institution, registry, changes, reach_back) if reach_back and not failure else _Read()
        failure = failure or (None if read.exams else _error_if_all_refused(compared))
        messages = self._messages_of_unread(institution, changes, [] if failure else read.left)
        if failure is None:
            refused = [exam for exam, error in compared.left if isinstance(error, PermanentError)]
            messages += [self._exam(institution, exam) for exam in refused]
        accepted = self._queue.accept(messages)
        counts = {
            "exams": len(changes.exams) + len(compared.exams),
            "exams_left": len(read.left),
            "lines_unreadable": len(changes.unreadable),
            "deadlines_passed": overdue,
        }
        outcome = self._outcome(institution, [*read.exams, *compared.exams], began, window, counts)
        if failure is not None:
            # The requests that were read are accepted. The watermark does not move, so the failed exams are read again.
            raise failure
        if window is None:
            moments = [exam.changed_at for exam in changes.exams if exam.changed_at]
            self._watermarks.read_well(institution, max(moments, default=None))
        new = set(accepted)
        of_exams = tuple(message.correlation_id for message in messages if message.key in new)
        return PollOutcome(**{**vars(outcome), "accepted": (*outcome.accepted, *of_exams)})

    def _exams(self, institution: Institution, registry: StudentRegistry, changed: Sequence[ChangedExam]) -> _Read:
        """Read the rows of the changed exams in parallel, each exam at most once."""
        read = _Read()
        to_fetch: list[ChangedExam] = []
        for exam in changed:
            if exam.rows is None or self._intake.is_open_here(institution, exam.rows, exam.vurd_id):
                to_fetch.append(exam)
            else:
                read.exams.append(ExamRows(exam.vurd_id, exam.rows, whole=False))
        return self._fetch(registry, to_fetch, read)

    def _fetch(self, registry: StudentRegistry, exams: Sequence[ChangedExam], read: _Read) -> _Read:
        limit = time_limit.current()

        def fetch(exam: ChangedExam) -> ExamRows | CaseError | None:
            if limit is not None and limit.is_late:
                return None
            try:
                with time_limit.within(limit):
                    return ExamRows(exam.vurd_id, registry.explanation_rows(exam.vurd_id), whole=True)
            except PyMongoError:
                raise
            except BaseException as error:  # noqa: BLE001 an error in one exam must not stop the others
                return None if limit is not None and limit.is_over else as_case_error(error)

        if exams:
            with ThreadPoolExecutor(EXAMS_AT_ONCE, thread_name_prefix="exam") as pool:
                for exam, fetched in zip(exams, pool.map(fetch, exams), strict=True):
                    if isinstance(fetched, ExamRows):
                        read.exams.append(fetched)
                    else:
                        read.left.append((exam, fetched))
        return read

    def _compared(
        self, institution: Institution, registry: StudentRegistry, changes: ExamChanges, reach_back: timedelta
    ) -> _Read:
        """Read exams of our cases that FS did not list as changed: a removed or reopened row may be in no list."""
        seen = {canonical(exam.vurd_id) for exam in changes.exams}
        ours = self._cases.exams_to_compare(institution, self._clock.now() - reach_back)
        others = sorted({canonical(vurd_id) for vurd_id in ours} - seen)
        if len(others) > EXAMS_COMPARED:
            others = random.sample(others, EXAMS_COMPARED)  # later reconciliations read the others
        return self._fetch(registry, [ChangedExam(vurd_id, None) for vurd_id in others], _Read())

    def _messages_of_unread(
        self, institution: Institution, changes: ExamChanges, left: Sequence[tuple[ChangedExam, CaseError | None]]
    ) -> list[NewMessage]:
        now = self._clock.now()
        lines = [exam_message.line_message(institution, line, now) for line in changes.unreadable]
        return lines + [self._exam(institution, exam) for exam, _ in left]

    def _exam(self, institution: Institution, exam: ChangedExam) -> NewMessage:
        return exam_message.exam_message(institution, exam.vurd_id, exam.changed_at, self._clock.now())

    def _outcome(
        self,
        institution: Institution,
        exams: Sequence[ExamRows],
        began: datetime,
        window: Window | None,
        counts: dict[str, int],
        *,
        by_itself: bool = False,
    ) -> PollOutcome:
        taken = self._intake.take(institution, exams, began, window, by_itself=by_itself)
        return PollOutcome(
            institution.key,
            seen=sum(len(exam.rows) for exam in exams),
            accepted=tuple(taken.accepted),
            known=max(0, taken.open + taken.unreadable - len(taken.accepted)),
            counts={
                **counts,
                **{
                    name: getattr(taken, name)
                    for name in ("open", "finished", "unreadable", "merged", "removed", "gone", "reopened")
                },
            },
            open_cases=taken.open_cases,
            finished_cases=taken.finished_cases,
        )


def _guarded(alert_people: Callable[[], int]) -> int:
    """The result of `alert`, or 0 after a defect. A defect in some case documents must not stop the rest of the poll."""
    try:
        return alert_people()
    except Exception as error:
        if is_away(error):
            raise
        log_defect(error)
        return 0


def _error_of_whole_read(read: _Read) -> CaseError | None:
    """The error that concerns the whole read: refused credentials, or no exam could be read. `None` if there is none.

    An exam that FS refuses for good is a problem of that exam only, even if it is the only exam.
    """
    errors: list[Any] = [error for _, error in read.left if error is not None]
    refused = next((error for error in errors if isinstance(error, AuthBrokenError)), None)
    passing = [error for error in errors if not isinstance(error, PermanentError)]
    fetched = any(exam.whole for exam in read.exams)
    if refused is not None or (passing and not fetched and len(passing) == len(read.left)):
        failure: CaseError = refused or passing[0]
        return failure
    return _error_if_all_refused(read)


def _error_if_all_refused(read: _Read) -> CaseError | None:
    """The error for many exams that FS refuses all for the same reason: then the access to FS is wrong, not each exam.

    If at least one exam can be read, each refused exam is a problem of that exam only, and the result is `None`.
    """
    errors = [error for _, error in read.left if isinstance(error, PermanentError)]
    if read.exams or len(errors) < MANY_EXAMS or len(errors) < len(read.left) or len({one.code for one in errors}) > 1:
        return None
    return PermanentError(
        "fs.exams_refused",
        f"FS lists {len(errors)} exams and refuses every one of them. {errors[0].cause}",
        "Compare CASEBRIDGE_FS__EXAM_PATH as well as digex.baseUrl, institusjonsnr and the API user's rights of the institution "
        "with what the FS team says; nothing is set aside.",
        system="FS",
    )
