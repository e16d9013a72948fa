"""Reads explanation requests from FS into the inbox: the flow's first end.

List what changed since the watermark, fetch each exam once, accept each new or changed request once. Every row that FS sends ends
as a message, also one that cannot be read: it dies with a clear error, in sight, instead of being skipped.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from casebridge.clock import Clock
from casebridge.correlation_id import new_correlation_id
from casebridge.errors import CaseError
from casebridge.exams import request_intake
from casebridge.exams.case_state import CaseState
from casebridge.exams.cases import Cases, case_id
from casebridge.exams.institution import Institution
from casebridge.exams.models import ChangedExam, ExplanationRequest
from casebridge.exams.polling import Polling, PollOutcome
from casebridge.exams.ports import Outside, StudentRegistry
from casebridge.exams.request_intake import open_cases, request_message
from casebridge.exams.watermarks import Watermarks
from casebridge.fingerprint import short_hash
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import NewMessage
from casebridge.settings import FsSettings

SUBMODULE: Final = "klage-beg-dispatcher"
QUEUE: Final = request_intake.QUEUE
EXAMS_AT_ONCE: Final = 6


@dataclass(frozen=True)
class Window:
    """Which requests of a read are wanted: those asked for in [start, end). For backfills of one month."""

    start: date
    end: date

    def holds(self, request: ExplanationRequest) -> bool:
        return self.start <= request.dato_klage_mottatt < self.end


@dataclass
class _Sorted:
    """The rows of one read, by what is to be done with them."""

    open: list[ExplanationRequest]
    finished: list[ExplanationRequest]
    unreadable: list[tuple[dict[str, Any], str]]


class RequestReader:
    """The source that FS is. Only feeds the inbox; safe to run at any time, side by side with itself."""

    def __init__(
        self,
        outside: Outside,
        queue: MeldingQ,
        cases: Cases,
        watermarks: Watermarks,
        polling: Polling,
        clock: Clock,
        settings: FsSettings,
    ) -> None:
        self._outside = outside
        self._queue = queue
        self._cases = cases
        self._watermarks = watermarks
        self._polling = polling
        self._clock = clock
        self._settings = settings

    def read_new(
        self,
        institutions: Sequence[Institution],
        *,
        reach_back: timedelta | None = None,
        budget_seconds: float | None = None,
    ) -> list[PollOutcome]:
        """What changed since each institution's watermark, with overlap; `reach_back` for a reconciliation."""
        overlap = reach_back or timedelta(seconds=self._settings.overlap_seconds)
        return self._polling.each(
            institutions,
            SUBMODULE,
            lambda institution: self._read(institution, self._since(institution) - overlap, None),
            self._watermarks.read_badly,
            budget_seconds,
        )

    def read_window(self, institutions: Sequence[Institution], window: Window) -> list[PollOutcome]:
        """Everything asked for in a window, whatever the watermark: a backfill. The watermark stays."""
        since = datetime.combine(window.start, datetime.min.time(), self._clock.now().tzinfo)
        return self._polling.each(
            institutions,
            SUBMODULE,
            lambda institution: self._read(institution, since, window),
            self._watermarks.read_badly,
        )

    def _since(self, institution: Institution) -> datetime:
        known = self._watermarks.get(institution).since
        return known or self._clock.now() - timedelta(days=self._settings.first_read_days)

    def _read(self, institution: Institution, since: datetime, window: Window | None) -> PollOutcome:
        registry = self._outside.student_registry(institution)
        changed = registry.changed_exams(since)
        rows, failure = self._rows(registry, changed)
        found = _sort(rows, window)
        accepted = self._accept(institution, found)
        if failure is not None:
            # What was read is kept; the watermark stays, so the exams that failed are read again.
            raise failure
        if window is None:
            self._watermarks.read_well(institution, max((exam.changed_at for exam in changed), default=None))
        return PollOutcome(
            institution.key,
            seen=len(rows),
            accepted=tuple(accepted),
            known=len(found.open) + len(found.unreadable) - len(accepted),
            counts={
                "exams": len({exam.vurd_id for exam in changed}),
                "open": len(found.open),
                "finished": len(found.finished),
                "unreadable": len(found.unreadable),
            },
        )

    def _rows(
        self, registry: StudentRegistry, changed: Sequence[ChangedExam]
    ) -> tuple[list[dict[str, Any]], CaseError | None]:
        """All rows of the changed exams, each exam fetched once, side by side; and the first failure, if any."""
        rows = [row for exam in changed for row in exam.rows or ()]
        to_fetch = sorted({exam.vurd_id for exam in changed if exam.rows is None})

        def fetch(vurd_id: str) -> Sequence[dict[str, Any]] | CaseError:
            try:
                return registry.explanation_rows(vurd_id)
            except CaseError as error:
                return error

        if not to_fetch:
            return rows, None
        failure: CaseError | None = None
        with ThreadPoolExecutor(EXAMS_AT_ONCE, thread_name_prefix="exam") as pool:
            for fetched in pool.map(fetch, to_fetch):
                if isinstance(fetched, CaseError):
                    failure = failure or fetched
                else:
                    rows.extend(fetched)
        return rows, failure

    def _accept(self, institution: Institution, found: _Sorted) -> list[str]:
        """Cases first, then messages. Returns new correlation ids."""
        cases = open_cases(self._cases, institution, found.open)
        for case in cases.values():
            if case.state is CaseState.WITHDRAWN:
                self._cases.reopen(case.id)
        if found.finished:
            self._cases.withdraw([case_id(institution, request) for request in found.finished])
        messages = [request_message(institution, request, cases) for request in found.open]
        messages += [_unreadable_message(institution, row, why, self._clock.now()) for row, why in found.unreadable]
        correlation_ids = {message.key: message.correlation_id for message in messages}
        return [correlation_ids[key] for key in self._queue.accept(messages)]


def _sort(rows: Sequence[dict[str, Any]], window: Window | None) -> _Sorted:
    found = _Sorted([], [], [])
    for row in rows:
        try:
            request = ExplanationRequest.model_validate(row)
            _ = request.exam
        except ValidationError as error:
            fields = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
            found.unreadable.append((row, ", ".join(fields)))
        except CaseError:
            found.unreadable.append((row, "examId"))
        else:
            if window is None or window.holds(request):
                (found.finished if request.finished_in_fs else found.open).append(request)
    return found


def _unreadable_message(institution: Institution, row: dict[str, Any], why: str, now: datetime) -> NewMessage:
    # As text: a row that no rule has been held against may have names and numbers that MongoDB does not take.
    raw = json.dumps(row, sort_keys=True)
    key = short_hash(QUEUE, institution.key, raw)
    return NewMessage(
        key=key,
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=key,
        correlation_id=new_correlation_id(now),
        payload={"caseId": None, "unreadable": raw, "fields": why},
    )
