"""Prepared events: messages that the sources would enqueue. They are kept back until a measurement accepts them."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from casebridge.exams.models import ExplanationRegistration
from casebridge.messaging.queue.message import NewMessage
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from simulators.process import ControlClient

END_SECONDS: Final = 120.0
Place = tuple[int, int]
"""The ids of a flow and of an explanation request in it. They identify an answer here and in the simulators."""


@dataclass(frozen=True)
class Answer:
    """An answer in the exam system."""

    case_id: str
    institution: str
    place: Place

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], institution: str) -> "Answer":
        return cls(payload["caseId"], institution, (payload["flowId"], payload["explanationRequestId"]))


@dataclass(frozen=True)
class Event:
    """An answer that is not accepted yet, and its message."""

    answer: Answer
    message: NewMessage


class PreparedEvents:
    """Prepares answers and requests in the simulators."""

    def __init__(self, control: ControlClient, process: Process) -> None:
        self.control = control
        self._process = process

    def answers(self, cases: int) -> list[Event]:
        """Send all requests of the simulators, wait for the answers, and return them. No answer is accepted yet."""
        synchronisation, institutions = self._process.synchronisation, self._process.stores.institutions.active()
        explanations = self._process.capability(Explanations)
        synchronisation.poll(explanations.requests, institutions)
        synchronisation.run_batch()
        self.control.wait("answered", cases, timeout_s=END_SECONDS)
        with self._held_back() as messages:
            synchronisation.poll(explanations.answers, institutions)
        return [Event(Answer.from_payload(one.payload, f"{one.org_id}/{one.env}"), one) for one in messages]

    def requests(self, count: int) -> list[NewMessage]:
        """Add requests in FS, spread over the institutions, and return their messages. None is accepted yet."""
        institutions = self._process.stores.institutions.active()
        for institution in institutions:
            for _ in range(math.ceil(count / len(institutions))):
                self.control.add_request(institution.org_id)
        with self._held_back() as messages:
            self._process.synchronisation.poll(self._process.capability(Explanations).requests, institutions)
        keys = [message.key for message in messages]
        received = self._process.stores.database.received_keys.find({"_id": {"$in": keys}}, {"_id": 1})
        known = {document["_id"] for document in received}
        return [message for message in messages if message.key not in known][:count]

    @contextmanager
    def _held_back(self) -> Iterator[list[NewMessage]]:
        """The messages that the sources offer while the context is open."""
        offered: list[NewMessage] = []

        def hold_back(messages: Sequence[NewMessage]) -> list[str]:
            offered.extend(messages)
            return []

        accept = self._process.stores.queue.accept
        self._process.stores.queue.accept = hold_back  # type: ignore[method-assign]  # the sources know one queue
        try:
            yield offered
        finally:
            self._process.stores.queue.accept = accept  # type: ignore[method-assign]  # as above

    def registered_at(self) -> dict[Place, float]:
        """The time at which FS got each answer, in Unix seconds of this host's clock."""
        return {
            (case["flowId"], case["explanationRequestId"]): case["registeredAt"]
            for case in self.control.cases()
            if case["registeredAt"] is not None
        }


class BareCalls:
    """The calls that every answer needs at least: fetch it, read the row and the participant again, and register it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._institutions = {institution.key: institution for institution in process.stores.institutions.active()}

    def repeat(self, answer: Answer) -> float:
        """Make the calls for an answer that FS has already; return the seconds that they took."""
        case = self._process.capability(Explanations).cases.get(answer.case_id)
        institution = self._institutions[answer.institution]
        if case is None or case.candidate is None:
            raise RuntimeError("the case of an answer is missing or was never sent")
        exam_system = self._process.clients.exam_system(institution)
        registry = self._process.clients.student_registry(institution)
        place = (str(answer.place[0]), str(answer.place[1]))
        began_on, began = datetime.now(UTC), time.perf_counter()
        found = exam_system.answer(*place, case.candidate, began_on)
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
