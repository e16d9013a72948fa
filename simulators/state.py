"""The state that all simulated systems share: institutions, exams, cases, flows, requests and answers.

Only one event loop reads and changes it, so there is no lock. Each system has a module of its own, with its answers to calls.
``population`` makes the data.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

from simulators.exam_case import Case, Exam
from simulators.faults import Faults
from simulators.flow import Comment, ExplanationRequest, Flow, Participant, ShareType
from simulators.institution import Institution
from simulators.modes import Modes
from simulators.order_fields import FLAG, SECONDS, check_fields
from simulators.rate_limit import RateLimit, Rates
from simulators.traffic import Traffic
from simulators.waiting import Waiting


class Numbers:
    """The serial numbers of the simulated systems. Their ranges are far apart, so that a mix-up of two kinds shows."""

    def __init__(self) -> None:
        self.case = itertools.count(1)
        self.license = itertools.count(101)
        self.personlopenr = itertools.count(480_001)
        self.user = itertools.count(55_001)
        self.flow = itertools.count(770_001)
        self.participant = itertools.count(3_300_001)
        self.submission = itertools.count(5_000_001)
        self.group = itertools.count(640_001)
        self.assessor = itertools.count(810_001)
        self.source = itertools.count(20_001)
        self.explanation = itertools.count(90_001)
        self.comment = itertools.count(1_200_001)


@dataclass(slots=True)
class IssuedToken:
    """The owner of a bearer token, and the time until which it is valid."""

    org_id: str
    valid_until: float


@dataclass(slots=True)
class AssessorPace:
    """How fast the simulated assessors work."""

    minimum_delay_s: float = 0.5
    maximum_delay_s: float = 3.0
    paused: bool = False

    def change(self, order: dict[str, Any]) -> None:
        """Change the fields that the order names.

        :raises ValueError: an unknown field, or a value that is no delay or no flag
        """
        check_fields(order, {"minimum_delay_s": SECONDS, "maximum_delay_s": SECONDS, "paused": FLAG})
        for name, value in order.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class World:
    """The whole state of the simulated systems."""

    def __init__(self, seed: int) -> None:
        self.waiting = Waiting()
        self.pace = AssessorPace()
        self.modes = Modes()
        self.faults = Faults()
        self.rates = Rates()
        self.clear(seed)

    def clear(self, seed: int) -> None:
        """Remove all data. Modes, fault rules, rates and the assessors' pace stay, and calls that wait keep waiting."""
        self.seed = seed
        self.numbers = Numbers()
        self.random = Random(f"{seed}:added later")
        self.traffic = Traffic()
        self.institutions: dict[str, Institution] = {}
        self.exams: dict[str, Exam] = {}
        self.cases: dict[int, Case] = {}
        self.cases_of_exam: dict[str, list[Case]] = {}
        self.case_of_participant: dict[int, Case] = {}
        self.held: deque[Case] = deque()
        self.flows: dict[int, Flow] = {}
        self.explanations: dict[int, ExplanationRequest] = {}
        self.explanation_of_participant: dict[int, ExplanationRequest] = {}
        self.tokens: dict[str, IssuedToken] = {}
        self.rate_limits: dict[str, RateLimit] = {}
        self.repeated_posts = 0
        self.emails = 0
        self.slack_messages: list[dict[str, Any]] = []
        self.laas_documents: list[dict[str, Any]] = []
        self.waiting.changed()

    def add_exam(self, exam: Exam) -> None:
        self.exams[exam.exam_id] = exam
        self.cases_of_exam.setdefault(exam.exam_id, [])

    def add_case(self, case: Case) -> None:
        self.cases[case.case_id] = case
        self.cases_of_exam[case.exam.exam_id].append(case)
        if case.participant_id is not None:
            self.case_of_participant[case.participant_id] = case

    def release(self, count: int | None = None) -> int:
        """Make the next held cases appear in FS, as if they came in now. Return how many."""
        released = 0
        while self.held and (count is None or released < count):
            self.show(self.held.popleft(), changed_at=time.time())
            released += 1
        self.waiting.changed()
        return released

    def show(self, case: Case, *, changed_at: float) -> None:
        """Make a case visible in FS."""
        case.visible_at = time.time()
        case.changed_at = changed_at

    def case_in_fs(self, exam_id: str, personlopenr: int) -> Case | None:
        """FS's row for a person on an exam, finished or not. None if FS shows no such row."""
        for case in self.cases_of_exam.get(exam_id, ()):
            if case.in_fs and case.student.personlopenr == personlopenr:
                return case
        return None

    def explanation_of_case(self, case: Case) -> ExplanationRequest | None:
        """The explanation request in WISEflow of exactly the participant of the case. None if there is none."""
        if case.participant_id is None:
            return None
        return self.explanation_of_participant.get(case.participant_id)

    def participant_of_case(self, case: Case) -> Participant | None:
        """The only participant in WISEflow whose assessor must answer. None if there is none."""
        for flow in self.flows.values():
            for participant in flow.participants:
                if participant.participant_id == case.participant_id:
                    return participant
        return None

    def add_comment(
        self, flow: Flow, participant: Participant, content: str, share_type: ShareType, at: float
    ) -> Comment:
        """Add a comment by the participant's own assessor on the participant's submission."""
        if participant.submission_id is None:
            raise ValueError("nothing was handed in, so there is nothing to comment on")
        comment = Comment(
            comment_id=next(self.numbers.comment),
            flow_id=flow.flow_id,
            container_id=participant.submission_id,
            assessor=participant.assessor,
            content=content,
            share_type=share_type,
            created_at=at,
            updated_at=at,
        )
        flow.comments.append(comment)
        return comment
