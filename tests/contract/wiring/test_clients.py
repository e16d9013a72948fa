"""There is one client for each institution and system. It is kept, shared between threads and closed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from casebridge.errors import PermanentError, RateLimitedError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.ports import Clients, ExamSystem, StudentRegistry
from casebridge.institutions.institution import Institution
from casebridge.settings import HttpSettings, Settings
from resources.wiring.clients import InstitutionClients
from simulators.process import RunningSimulators
from tests.support.recorded_clients import SimulatedWorld


@pytest.fixture
def world(simulators: RunningSimulators) -> Iterator[SimulatedWorld]:
    simulators.control.clear_faults()
    population = simulators.control.population(
        institutions=2, courses=2, requests=2, seed=1, hold=False, variety=False, oddities=False
    )
    prepared = SimulatedWorld(simulators, population)
    yield prepared
    prepared.close()


@pytest.fixture
def clients(world: SimulatedWorld) -> Iterator[InstitutionClients]:
    opened = InstitutionClients(Settings(), world.secrets)
    yield opened
    opened.close()


def test_the_clients_implement_the_port_of_the_flows(clients: InstitutionClients, world: SimulatedWorld) -> None:
    port: Clients = clients
    registry: StudentRegistry = port.student_registry(world.institutions()[0])
    exam_system: ExamSystem = port.exam_system(world.institutions()[0])
    registry.check_credentials()
    exam_system.check_credentials()


def test_threads_share_one_client_per_institution_and_system(
    clients: InstitutionClients, world: SimulatedWorld
) -> None:
    one, other = world.institutions()
    with ThreadPoolExecutor(8) as pool:
        registries = {id(client) for client in pool.map(lambda _: clients.student_registry(one), range(64))}
        systems = {id(client) for client in pool.map(lambda _: clients.exam_system(one), range(64))}
    assert len(registries) == len(systems) == 1
    assert clients.student_registry(other) is not clients.student_registry(one)


def test_a_changed_configuration_gets_a_new_client(clients: InstitutionClients, world: SimulatedWorld) -> None:
    before = world.institutions()[0]
    assert before.wiseflow is not None
    after = before.model_copy(update={"wiseflow": before.wiseflow.model_copy(update={"answer_state": 2})})
    old = clients.exam_system(before)
    assert clients.exam_system(after) is not old
    assert clients.exam_system(after) is clients.exam_system(after)


@pytest.mark.parametrize("change", [{"wiseflow": None}, {"exam_system": "INSPERA"}])
def test_an_institution_without_a_known_exam_system(
    clients: InstitutionClients, world: SimulatedWorld, change: dict[str, object]
) -> None:
    institution: Institution = world.institutions()[0].model_copy(update=change)
    with pytest.raises(PermanentError) as caught:
        clients.exam_system(institution)
    assert caught.value.code == "exam_system.not_configured"
    assert institution.key in caught.value.cause


def test_institutions_that_share_a_credential_share_its_rate(
    clients: InstitutionClients, world: SimulatedWorld, simulators: RunningSimulators
) -> None:
    one, other = world.institutions()
    assert one.wiseflow is not None
    sharing = other.model_copy(update={"wiseflow": one.wiseflow})
    clients.exam_system(one).check_credentials()
    clients.exam_system(sharing).check_credentials()
    simulators.control.faults({"kind": "status", "status": 429, "retry_after": 60, "system": "wiseflow", "times": 1})
    for institution in (one, sharing):
        with pytest.raises(RateLimitedError):
            clients.exam_system(institution).check_credentials()
    clients.exam_system(other).check_credentials()


def test_all_clients_of_a_process_share_its_limit_of_calls(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of one call, neither FS of one institution nor the exam system of another is called at the same time."""
    one, other = world.institutions()
    opened = InstitutionClients(Settings(http=HttpSettings(calls_per_process=1)), world.secrets)
    monkeypatch.setattr(opened.all_calls, "_longest_wait", timedelta(0))
    with closing(opened):
        for check in (opened.student_registry(one).check_credentials, opened.exam_system(other).check_credentials):
            with opened.all_calls.place(), pytest.raises(RateLimitedError) as caught:
                check()
            assert caught.value.code == "casebridge.busy"
            check()


def test_every_call_is_counted(clients: InstitutionClients, world: SimulatedWorld) -> None:
    institution = world.institutions()[0]
    [exam, *_] = clients.student_registry(institution).changed_exams(datetime.now(UTC) - timedelta(days=60)).exams
    clients.exam_system(institution).find_exam(ExamKey.from_vurd_id(exam.vurd_id))
    assert clients.call_counts() == {
        f"{institution.tenant} FS": {"GET /begrunnelse/{exam_system} 200": 1},
        f"{institution.tenant} WISEflow": {
            "POST /oauth2/token 200": 1,
            "POST /sources/search 200": 1,
            "GET /flow/{flow_id} 200": 1,
        },
    }
