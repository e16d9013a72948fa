"""Alerts about cases whose legal deadline is over without an answer. Each case is named once.

Every poll of requests checks for them, for its own institution and with one query for each open state.
"""

from datetime import datetime
from typing import Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.clock import Clock
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.fs_values import OSLO
from casebridge.institutions.former_institution import Owner

AT_ONCE: Final = 200
SUBMODULE: Final = "deadlines"
ALERTED: Final = "deadlineToldAt"


class PassedDeadlines:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox, clock: Clock) -> None:
        self._cases = cases
        self._alerts = alerts
        self._clock = clock

    def alert(self, institution: Owner) -> int:
        """One alert for the overdue cases that no alert has named yet; return how many it names or counts."""
        today = self._clock.now().astimezone(OSLO).date()
        overdue = self._cases.past_deadline(institution, today, AT_ONCE)
        named = {
            str(document["correlationId"]): document["deadline"]
            for document in overdue
            if isinstance(document.get("deadline"), datetime) and document.get("correlationId")
        }
        if not named:
            return 0
        # The alert first: a mark without an alert would be silence.
        self._alerts.enqueue(_alert(institution, named))
        self._cases.mark_now([document["_id"] for document in overdue], ALERTED)
        return len(named)


def _alert(institution: Owner, named: dict[str, datetime]) -> Alert:
    first = sorted(named, key=lambda key: (named[key], key))
    return case_alert(
        institution,
        SUBMODULE,
        "case.deadline_passed",
        "The legal deadline for explanations is over without an answer in FS.",
        "See with `casebridge where` at which step each one waits, and ask the assessor for the answer, or for a "
        "case that was set aside do what its code asks; FS gets the answer as soon as there is one.",
        {key: f"deadline {named[key].date().isoformat()}" for key in first},
    )
