"""What all pollers share: institutions side by side, one's failure alone, every failure audited and told.

Which source is read and what it yields is the business of `request_reader` and `answer_poller`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.defect import as_case_error
from casebridge.errors import AuthBrokenError, CaseError, PermanentError
from casebridge.exams.credential_trials import CredentialTrials
from casebridge.exams.institution import Institution
from casebridge.messaging.pauses import Pauses
from casebridge.tenant import UNKNOWN, tenant_key

logger = logging.getLogger(__name__)

INSTITUTIONS_AT_ONCE: Final = 6
TOLERATED_FAILURES: Final = 2
"""A source that fails twice in a row is no news; the third time people hear of it."""


@dataclass(frozen=True)
class PollOutcome:
    """What one poll of one institution found. Counts only; ids of what was accepted."""

    institution: str
    """Its name, `uis.no/prod`: each of its exam systems is polled for itself, and has an outcome of its own."""
    seen: int = 0
    accepted: tuple[str, ...] = ()
    """Correlation ids of the cases that got a new message."""
    known: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    error: CaseError | None = None
    skipped: bool = False
    """Paused, or out of time: looked at next time."""
    exam_system: str = UNKNOWN

    @property
    def tenant(self) -> str:
        return tenant_key(self.institution, self.exam_system)


class Polling:
    """Runs one poll for many institutions."""

    def __init__(
        self, audit: AuditLog, alerts: AlertOutbox, pauses: Pauses, trials: CredentialTrials, clock: Clock
    ) -> None:
        self._audit = audit
        self._alerts = alerts
        self._pauses = pauses
        self._trials = trials
        self._clock = clock

    def each(
        self,
        institutions: Sequence[Institution],
        submodule: str,
        poll: Callable[[Institution], PollOutcome],
        failed: Callable[[Institution, CaseError], int],
        budget_seconds: float | None = None,
    ) -> list[PollOutcome]:
        """Poll every institution that is not paused, or no longer. `failed` returns how many times in a row it has failed now.

        With `budget_seconds`, institutions that did not get their turn in time are `skipped`; callers rotate the order.
        """
        deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
        paused = self._pauses.paused()

        def one(institution: Institution) -> PollOutcome:
            is_late = deadline is not None and time.monotonic() > deadline
            is_paused = institution.tenant in paused or institution.key in paused
            if is_late or (is_paused and not self._trials.goes_on(institution)):
                return PollOutcome(institution.key, skipped=True, exam_system=institution.exam_system)
            try:
                return replace(poll(institution), exam_system=institution.exam_system)
            except PyMongoError:
                raise  # without the database nothing can be told, of no institution
            except Exception as error:  # noqa: BLE001 a defect that one institution's data brings out must not stop the others
                told = as_case_error(error)
                self._tell(institution, submodule, told, failed(institution, told))
                return PollOutcome(institution.key, error=told, exam_system=institution.exam_system)

        with ThreadPoolExecutor(INSTITUTIONS_AT_ONCE, thread_name_prefix="poll") as pool:
            return list(pool.map(one, institutions))

    def _tell(self, institution: Institution, submodule: str, error: CaseError, failures: int) -> None:
        now = self._clock.now()
        logger.warning("%s: %s failed with %s (%d in a row)", institution.key, submodule, error.code, failures)
        self._audit.add([_entry(institution, submodule, error, now)])
        if isinstance(error, AuthBrokenError):
            self._alerts.owe(_alert(institution, submodule, error))
            self._pauses.pause(institution.key, institution.exam_system, error)
        elif isinstance(error, PermanentError) or failures > TOLERATED_FAILURES:
            self._alerts.owe(_alert(institution, submodule, error))


def _entry(institution: Institution, submodule: str, error: CaseError, now: datetime) -> AuditEntry:
    return AuditEntry(
        id=f"{institution.tenant}:{submodule}:{now.isoformat()}",
        time=now,
        correlation_id=institution.key,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        submodule=submodule,
        step="poll",
        success=False,
        error_message=str(error),
        code=error.code,
        fields={"instance": institution.instance},
    )


def _alert(institution: Institution, submodule: str, error: CaseError) -> Alert:
    return Alert.of(
        error,
        institution=institution.key,
        org_id=institution.org_id,
        exam_system=institution.exam_system,
        submodule=submodule,
        step="poll",
    )
