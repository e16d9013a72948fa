"""Alerts about open cases whose institution is no longer active: nobody asks FS or the exam system about them.

If a message of the case waits, that message is set aside, and people see it. But a case that waits for its assessor has no
message. Each case is named once, and again if its institution was active in between. A legal deadline that passes is handled
like that of any other case.
"""

from typing import Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.clock import Clock
from casebridge.database import Document
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_intake import SUBMODULE
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.institutions.former_institution import INACTIVE_TOLD, FormerInstitution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.queue.message import is_text
from casebridge.served_environment import ServedEnvironment
from casebridge.sources.watermarks import Watermarks
from casebridge.tenant import tenant_key

SHOWN: Final = ("examSystem", INACTIVE_TOLD)
AT_ONCE: Final = 200
"""Cases that one call names; the next call names the others."""


class InactiveInstitutions:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(
        self,
        institutions: InstitutionRegister,
        watermarks: Watermarks,
        cases: Cases,
        served: ServedEnvironment,
        alerts: AlertOutbox,
        deadlines: PassedDeadlines,
        clock: Clock,
    ) -> None:
        self._institutions = institutions
        self._watermarks = watermarks
        self._cases = cases
        self._served = served
        self._alerts = alerts
        self._deadlines = deadlines
        self._clock = clock

    def alert(self) -> int:
        """Send the alerts for the environment that is served. Return how many cases they name."""
        owners: dict[FormerInstitution, list[Document]] = {}
        news = 0
        documents = (document for name in self._perhaps_inactive() for document in self._cases.open_of(name, SHOWN))
        for document in documents:
            owner = FormerInstitution.of(document)
            if owner in owners or self._is_inactive(owner):
                cases = owners.setdefault(owner, [])
                if news < AT_ONCE and _is_news(document):
                    cases.append(document)
                    news += 1
        for owner, cases in owners.items():
            if cases:
                self._alert(owner, cases)
            self._deadlines.alert(owner)
        return news

    def _perhaps_inactive(self) -> list[str]:
        """Institutions that were polled once and are no longer active on at least one exam system. Others have no cases."""
        active = {institution.tenant for institution in self._institutions.active()}
        names = {
            institution
            for institution, exam_system in self._watermarks.tenants()
            if tenant_key(institution, exam_system) not in active and self._served.serves(institution)
        }
        return sorted(names)

    def _is_inactive(self, owner: FormerInstitution) -> bool:
        """Whether the institution is inactive by the configuration as it is now, not by what was read earlier."""
        return self._institutions.get(owner.key, owner.exam_system) is None

    def _alert(self, owner: FormerInstitution, cases: list[Document]) -> None:
        # The time makes it a new note if the institution becomes inactive again later.
        note = f"seen {self._clock.now():%Y-%m-%d %H:%M:%S}"
        # The alert first: a mark without an alert would be silence.
        self._alerts.enqueue(
            case_alert(
                owner,
                SUBMODULE,
                "institution.inactive",
                "Cases are open, and their institution is not active in configDB.orgs and oai.KlageBegrunnelseEnvs on their exam "
                "system, or cannot be read there: nobody looks for their answers.",
                "Activate it (docs/adding-an-institution.md): the cases go on by themselves. If it is to stay inactive, have the "
                "institution finish them in FS by hand; `casebridge where` shows each one.",
                dict.fromkeys(sorted(str(case["correlationId"]) for case in cases), note),
            )
        )
        self._cases.mark_now([case["_id"] for case in cases], INACTIVE_TOLD)


def _is_news(document: Document) -> bool:
    """Neither named by an earlier alert nor set aside: a case that is set aside has its own alert, and a message to replay."""
    return not document.get(INACTIVE_TOLD) and not document.get("setAside") and is_text(document.get("correlationId"))
