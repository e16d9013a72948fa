"""Tells people of cases whose legal deadline is over without an answer: once each, whoever finds it first.

Every poll of requests looks, for its institution alone and with one question of the database.
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
TOLD: Final = "deadlineToldAt"


class PassedDeadlines:
    """Safe side by side with itself: at worst people are told twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox, clock: Clock) -> None:
        self._cases = cases
        self._alerts = alerts
        self._clock = clock

    def tell(self, institution: Owner) -> int:
        """Owe one alert for what is overdue and was not told yet; return how many cases it names or counts."""
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
        self._cases.mark_now([document["_id"] for document in overdue], TOLD)
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
