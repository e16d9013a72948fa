"""The client of the log index, with the simulated LaaS."""

from collections.abc import Iterator

import pytest

from casebridge.errors import CaseError, PermanentError, RateLimitedError, TransientError
from casebridge.messaging.outbox.channels import LogIndexEffects
from casebridge.settings import HttpSettings, LaasSettings
from resources.laas import LaasClient
from simulators.process import RunningSimulators


@pytest.fixture
def laas(simulators: RunningSimulators) -> Iterator[RunningSimulators]:
    simulators.control.clear_faults()
    simulators.control.population(institutions=1, courses=1, requests=0)
    yield simulators
    simulators.control.clear_faults()


def client(laas: RunningSimulators) -> LaasClient:
    return LaasClient(LaasSettings(url=laas.addresses["laas"]), HttpSettings(total_seconds=5.0))


def test_a_document_is_registered_in_the_index(laas: RunningSimulators) -> None:
    client(laas).index({"id": "1", "success": True})
    assert laas.control.laas_documents() == [{"index": "casebridge", "document": {"id": "1", "success": True}}]


@pytest.mark.parametrize(
    ("rule", "kind", "code"),
    [
        ({"kind": "drop"}, TransientError, "laas.connection_lost"),
        ({"kind": "status", "status": 500}, TransientError, "laas.http_500"),
        ({"kind": "status", "status": 400}, PermanentError, "laas.document_refused"),
        ({"kind": "status", "status": 404}, PermanentError, "laas.refused"),
        ({"kind": "status", "status": 429, "retry_after": 2}, RateLimitedError, "laas.rate_limited"),
        ({"kind": "html"}, TransientError, "laas.body_not_json"),
    ],
)
def test_faults_become_errors(
    laas: RunningSimulators, rule: dict[str, object], kind: type[CaseError], code: str
) -> None:
    laas.control.faults({"system": "laas", "times": 1, **rule})
    with pytest.raises(kind) as caught:
        client(laas).index({"id": "1"})
    assert caught.value.code == code


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_entry_that_cannot_be_written_is_its_own_fault(value: float, simulators: RunningSimulators) -> None:
    """Reported as an outage, it would block all other entries for ever."""
    channel = LogIndexEffects(client(simulators))
    with pytest.raises(PermanentError) as caught:
        channel.deliver([{"id": "1", "kind": "log_index", "body": {"x": value}}])
    assert caught.value.code == "laas.call_unsendable"
    assert channel.deliver([{"id": "2", "kind": "log_index", "body": {"x": 1}}]) == {}
