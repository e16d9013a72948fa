"""Skips case documents that cannot be compared with FS, and sends an alert that names them."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.database import Document
from casebridge.errors import PermanentError
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_text
from casebridge.readable_documents import readable

Read = TypeVar("Read")


class UnreadableCases:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(self, alerts: AlertOutbox, submodule: str) -> None:
        """`submodule` is the part that compares, as alerts name it."""
        self._alerts = alerts
        self._submodule = submodule

    def pass_over(
        self, institution: Institution, documents: Iterable[Document], read: Callable[[Document], Read]
    ) -> list[Read]:
        """The results of `read` for each document. Documents for which it raises are skipped, and an alert names them."""
        unreadable: list[Document] = []
        found = readable(documents, read, unreadable)
        if unreadable:
            self._alert(institution, unreadable)
        return found

    def _alert(self, institution: Institution, documents: Iterable[Document]) -> None:
        """Send one alert for all documents. It is repeated until they are repaired: until then changes in FS go unnoticed."""
        named = [key for document in documents if is_text(key := document.get("correlationId")) and key]
        self._alerts.enqueue(
            Alert.of(
                _case_unreadable(),
                institution=institution.key,
                org_id=institution.org_id,
                exam_system=institution.exam_system,
                submodule=self._submodule,
                step="compare",
                cases=dict.fromkeys(sorted(named), ""),
            )
        )


def _case_unreadable() -> PermanentError:
    return PermanentError(
        "casebridge.case_unreadable",
        "A document in oai.begrunnelser cannot be read: institution, exam and person are there, and the rest is not what a case "
        "must be. It is passed over wherever FS is compared with our cases.",
        "Find it in oai.begrunnelser by the correlation id (or by vurdId where it has none): it must have correlationId, "
        "institution, state, vurdId, personlopenr and openedAt as other cases have; where it is registered flowId, "
        "explanationRequestId, kandidatnr and registeredAt, too, and openAgainAt is a time or not there; and none "
        "of its times lies in the future. Restore it from the backup, or correct it. The next poll that reads its exam takes it "
        "up again.",
    )
