"""Events that are ready to be accepted: what the sources would put into the inbox, held back until a measurement wants it."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from casebridge.exams.models import ExplanationRegistration
from casebridge.messaging.queue.message import NewMessage
from resources.wiring.bridge import Bridge
from simulators.process import ControlClient

END_SECONDS: Final = 120.0
Place = tuple[int, int]
"""A flow and an explanation request on it: what names an answer here and in the simulators."""


@dataclass(frozen=True)
class Answer:
    """An answer that stands in the exam system."""

    case_id: str
    institution: str
    place: Place

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], institution: str) -> "Answer":
        return cls(payload["caseId"], institution, (payload["flowId"], payload["explanationRequestId"]))


@dataclass(frozen=True)
class Event:
    """An answer that the inbox does not know yet, and the message that tells of it."""

    answer: Answer
    message: NewMessage


class PreparedEvents:
    """Prepares answers and requests in one simulated world."""

    def __init__(self, control: ControlClient, bridge: Bridge) -> None:
        self.control = control
        self._bridge = bridge

    def answers(self, cases: int) -> list[Event]:
        """All of the world's requests, sent and answered; no answer is accepted yet."""
        synchronisation, institutions = self._bridge.synchronisation, self._bridge.institutions.active()
        synchronisation.read_requests(institutions)
        synchronisation.run_batch()
        self.control.wait("answered", cases, timeout_s=END_SECONDS)
        with self._held_back() as messages:
            synchronisation.poll_answers(institutions)
        return [Event(Answer.from_payload(one.payload, f"{one.org_id}/{one.env}"), one) for one in messages]

    def requests(self, count: int) -> list[NewMessage]:
        """New requests in FS, spread over the institutions; none is accepted yet."""
        institutions = self._bridge.institutions.active()
        for institution in institutions:
            for _ in range(math.ceil(count / len(institutions))):
                self.control.add_request(institution.org_id)
        with self._held_back() as messages:
            self._bridge.synchronisation.read_requests(institutions)
        keys = [message.key for message in messages]
        received = self._bridge.database.received_keys.find({"_id": {"$in": keys}}, {"_id": 1})
        known = {document["_id"] for document in received}
        return [message for message in messages if message.key not in known][:count]

    @contextmanager
    def _held_back(self) -> Iterator[list[NewMessage]]:
        """What the sources offer to the inbox while the context is open."""
        offered: list[NewMessage] = []

        def hold_back(messages: Sequence[NewMessage]) -> list[str]:
            offered.extend(messages)
            return []

        accept = self._bridge.queue.accept
        self._bridge.queue.accept = hold_back  # type: ignore[method-assign]
        try:
            yield offered
        finally:
            self._bridge.queue.accept = accept  # type: ignore[method-assign]

    def registered_at(self) -> dict[Place, float]:
        """When FS got each answer, in unix seconds of this host."""
        return {
            (case["flowId"], case["explanationRequestId"]): case["registeredAt"]
            for case in self.control.cases()
            if case["registeredAt"] is not None
        }


class BareCalls:
    """What must at least be done for an answer: fetch it, look at both ends again, and register it."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._institutions = {institution.key: institution for institution in bridge.institutions.active()}

    def repeat(self, answer: Answer) -> float:
        """Make the calls for an answer that FS has; return the seconds that they took."""
        case = self._bridge.cases.get(answer.case_id)
        institution = self._institutions[answer.institution]
        if case is None or case.candidate is None:
            raise RuntimeError("the case of an answer is not there, or was never sent")
        exam_system = self._bridge.clients.exam_system(institution)
        registry = self._bridge.clients.student_registry(institution)
        began_on, began = datetime.now(UTC), time.perf_counter()
        found = exam_system.answer(*map(str, answer.place), case.candidate, began_on)
        registry.fresh_rows(case.document["vurdId"])
        exam_system.candidate(case.candidate)
        registry.register_explanation(
            ExplanationRegistration(
                vurd_id=case.document["vurdId"],
                personlopenr=case.document["personlopenr"],
                kandidatnr=case.document["kandidatnr"],
                kommisjons_id=case.document.get("kommisjonsId"),
                communicated_on=found.given_at.date(),
                text=found.text,
            )
        )
        return time.perf_counter() - began
