"""The simulated WISEflow, whose assessors answer at once, and the port of one institution to it."""

from collections.abc import Iterator

import pytest

from casebridge.institutions.institution import Institution
from resources.wiseflow.exam_system import WiseflowExamSystem
from simulators.process import RunningSimulators
from tests.support.recorded_clients import SimulatedWorld
from tests.support.wiseflow_answers import prompt_world


@pytest.fixture
def world(simulators: RunningSimulators) -> Iterator[SimulatedWorld]:
    with prompt_world(simulators) as prepared:
        yield prepared


@pytest.fixture
def institution(world: SimulatedWorld) -> Institution:
    return world.institutions()[0]


@pytest.fixture
def exams(world: SimulatedWorld, institution: Institution) -> WiseflowExamSystem:
    return world.exam_system(institution)
