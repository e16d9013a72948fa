"""Case documents that a look at FS cannot use: each is passed over by itself, and people are told which."""

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
    """Safe side by side with itself: at worst people are told twice."""

    def __init__(self, alerts: AlertOutbox, submodule: str) -> None:
        """`submodule` is whose look it is."""
        self._alerts = alerts
        self._submodule = submodule

    def pass_over(
        self, institution: Institution, documents: Iterable[Document], read: Callable[[Document], Read]
    ) -> list[Read]:
        """What `read` makes of each document, without those that it raises for: people hear of them."""
        amiss: list[Document] = []
        found = readable(documents, read, amiss)
        if amiss:
            self._tell(institution, amiss)
        return found

    def _tell(self, institution: Institution, documents: Iterable[Document]) -> None:
        """Folded: until it is mended nobody sees what FS does with these cases."""
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
