"""What all polls share.

- Institutions are polled in parallel, and a failure of one does not stop the others.
- Every failure is audited, and people are alerted of it if that is needed.

What is polled and what comes of it is in `request_reader` and `answer_poller`.
"""

import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from pymongo.errors import ConnectionFailure, WriteConcernError

from casebridge import time_limit
from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.database_faults import is_away
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import AuthBrokenError, CaseError, PermanentError, RateLimitedError, TransientError
from casebridge.institutions.institution import Institution
from casebridge.institutions.pauses import Pauses
from casebridge.sources.credential_probes import CredentialProbes
from casebridge.telemetry import observer
from casebridge.tenant import UNKNOWN, tenant_key
from casebridge.time_limit import TimeLimit

logger = logging.getLogger(__name__)

INSTITUTIONS_AT_ONCE: Final = 6
TOLERATED_FAILURES: Final = 2
"""How many failures in a row cause no alert, if they may pass by themselves."""


AGAIN: Final = "The poll is made again by itself, and nothing is passed over."
CLAUSES: Final = re.compile(r"[;.] |, then |, and | and (?=replay)")
OF_MESSAGES: Final = re.compile(r"\b(messages?|replay(ed)?|poll)\b")
"""Clauses of a next action that are about messages. A poll has no message, so they are left out."""


@dataclass(frozen=True)
class PollOutcome:
    """What one poll of one institution found: counts, and the ids of accepted cases."""

    institution: str
    """Its name, `uis.no/prod`. Each of its exam systems is polled by itself and has its own outcome."""
    seen: int = 0
    accepted: tuple[str, ...] = ()
    """Correlation ids of the cases that got a new message."""
    known: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    error: CaseError | None = None
    skipped: bool = False
    """Not polled, or not to the end, because the institution is paused or the time was over."""
    exam_system: str = UNKNOWN
    open_cases: tuple[str, ...] = field(default=(), repr=False)
    """Correlation ids of cases whose rows are open in FS, each once."""
    finished_cases: tuple[str, ...] = field(default=(), repr=False)
    """Correlation ids of cases whose rows are finished in FS, each once."""

    @property
    def tenant(self) -> str:
        return tenant_key(self.institution, self.exam_system)


class Polling:
    """Runs one poll for many institutions."""

    def __init__(
        self, audit: AuditLog, alerts: AlertOutbox, pauses: Pauses, probes: CredentialProbes, clock: Clock
    ) -> None:
        self._audit = audit
        self._alerts = alerts
        self._pauses = pauses
        self._probes = probes
        self._clock = clock

    def each(
        self,
        institutions: Sequence[Institution],
        submodule: str,
        poll: Callable[[Institution], PollOutcome],
        failed: Callable[[Institution, CaseError], int],
        budget_seconds: float | None = None,
    ) -> list[PollOutcome]:
        """Poll every institution that is not paused, and each paused one whose credentials work again.

        `failed` stores a failure and returns how many times in a row the institution has failed now. With `budget_seconds` all
        polls end after that time. Institutions that were not polled by then, or not to the end, are `skipped`. Callers should
        rotate the order.
        """
        limit = None if budget_seconds is None else TimeLimit.of(budget_seconds)
        paused = self._pauses.paused()

        def poll_one(institution: Institution) -> PollOutcome:
            skipped = PollOutcome(institution.key, skipped=True, exam_system=institution.exam_system)
            is_paused = institution.tenant in paused or institution.key in paused
            try:
                if (limit and limit.is_late) or (is_paused and not self._probes.goes_on(institution)):
                    return skipped
                with time_limit.within(limit):
                    seen = observer().reading(submodule, institution.key)
                    try:
                        return replace(poll(institution), exam_system=institution.exam_system)
                    finally:
                        seen.ended()
            except (ConnectionFailure, WriteConcernError):
                raise  # without the database no failure can be reported
            except BaseException as error:  # noqa: BLE001 an error with one institution must not stop the others
                if limit and limit.is_over and isinstance(error, TransientError):
                    return skipped  # our own time limit interrupted it
                case_error = _for_a_poll(as_case_error(error))
                try:
                    self._report(institution, submodule, case_error, failed)
                except BaseException as worse:
                    if is_away(worse):
                        raise
                    log_defect(worse)  # the outcome has the first error in any case
                return PollOutcome(institution.key, error=case_error, exam_system=institution.exam_system)

        with ThreadPoolExecutor(INSTITUTIONS_AT_ONCE, thread_name_prefix="poll") as pool:
            return list(pool.map(poll_one, institutions))

    def _report(
        self,
        institution: Institution,
        submodule: str,
        error: CaseError,
        failed: Callable[[Institution, CaseError], int],
    ) -> None:
        now = self._clock.now()
        try:
            failures = failed(institution, error)
        except BaseException as worse:
            if is_away(worse):
                raise
            log_defect(worse)
            failures = TOLERATED_FAILURES + 1
        logger.warning("%s: %s failed with %s (%d in a row)", institution.key, submodule, error.code, failures)
        self._audit.add([_entry(institution, submodule, error, now)])
        if isinstance(error, AuthBrokenError):
            self._alerts.enqueue(_alert(institution, submodule, error))
            self._pauses.pause(institution.key, institution.exam_system, error)
        elif isinstance(error, PermanentError) or failures > TOLERATED_FAILURES:
            self._alerts.enqueue(_alert(institution, submodule, error))


def _for_a_poll(error: CaseError) -> CaseError:
    """The error with a next action that fits a poll: there is no message to replay, and the next poll comes by itself."""
    if isinstance(error, AuthBrokenError):
        return error
    if error.code == "casebridge.defect":
        return error.doing(f"Report it with the name of the institution. {AGAIN}")
    if isinstance(error, RateLimitedError):
        system = error.system or "the other end"
        return error.doing(f"Ask the support of {system} why calls are refused, if it lasts. {AGAIN}")
    kept = [part for part in CLAUSES.split(error.next_action.rstrip(".")) if not OF_MESSAGES.search(part)]
    sentence = "; ".join(kept).strip() or f"Ask the support of {error.system or 'the other end'} why"
    return error.doing(f"{sentence}. {AGAIN}")


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
