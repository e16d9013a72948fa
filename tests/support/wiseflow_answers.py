"""Cases in the simulated WISEflow whose assessors have answered, made through the port of exam systems."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from casebridge.exams.exam_key import ExamKey
from casebridge.exams.identity import Person
from casebridge.exams.models import CandidatePlace
from casebridge.institutions.institution import Institution
from resources.wiseflow.exam_system import WiseflowExamSystem
from simulators.process import RunningSimulators
from tests.support.recorded_clients import SimulatedWorld

SEEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
MODES = {"justification": "comment", "comment_format": "plain", "patch_data": "array", "sis_flows_shape": "list"}


@contextmanager
def prompt_world(simulators: RunningSimulators) -> Iterator[SimulatedWorld]:
    """Two institutions without cases, whose assessors answer at once. The simulators' modes are restored afterwards."""
    control = simulators.control
    control.clear_faults()
    control.modes(**MODES)
    control.assessors(minimum_delay_s=0, maximum_delay_s=0, paused=False)
    prepared = SimulatedWorld(
        simulators, control.population(institutions=2, courses=2, requests=0, seed=5, variety=False)
    )
    yield prepared
    prepared.close()
    control.modes(**MODES)


def find(exams: WiseflowExamSystem, case: dict[str, Any]) -> CandidatePlace:
    place = exams.find_exam(ExamKey.from_vurd_id(case["examId"]))
    return exams.find_candidate(place, person(case))


def person(case: dict[str, Any], user_name: str | None = None, **changes: int) -> Person:
    """The student of a case, as FS identifies them."""
    numbers = {name: case[name] for name in ("kandidatnr", "personlopenr")} | changes
    return Person(**numbers, user_name=user_name, realm="uis.no")


def answered(world: SimulatedWorld, exams: WiseflowExamSystem, institution: Institution, **order: Any) -> "Answered":
    case = world.add_request(institution, **order)
    candidate = find(exams, case)
    before = world.simulators.control.summary()["answered"]
    requested = exams.request_explanation(candidate, None)
    world.simulators.control.wait("answered", before + 1)
    return Answered(case, candidate, requested.explanation_request_id)


class Answered:
    """A case whose assessor has answered."""

    def __init__(self, case: dict[str, Any], candidate: CandidatePlace, request_id: str) -> None:
        self.case = case
        self.candidate = candidate
        self.request_id = request_id

    def text(self, exams: WiseflowExamSystem) -> str:
        return exams.answer(self.candidate.flow_id, self.request_id, self.candidate, SEEN).text
