"""The simulated Slack, called with Slack's own client, and the simulated log index (contract 12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from simulators.process import RunningSimulators, running
from tests.support.simulator_callers import session

pytestmark = pytest.mark.contract

TOKEN = "xoxb-simulated"


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def empty_world(simulators: RunningSimulators) -> Iterator[None]:
    simulators.control.population(institutions=1, courses=1, requests=0)
    yield
    simulators.control.clear_faults()


def web_client(simulators: RunningSimulators, token: str = TOKEN) -> WebClient:
    return WebClient(token=token, base_url=simulators.addresses["slack_api"])


def test_a_message_by_the_web_api(simulators: RunningSimulators) -> None:
    answer = web_client(simulators).chat_postMessage(channel="mule-prod", text="Én sak står fast")
    assert (answer["ok"], answer["channel"]) == (True, "mule-prod")
    (message,) = simulators.control.slack_messages()
    assert (message["ts"], message["message"]["text"]) == (answer["ts"], "Én sak står fast")


def test_a_message_as_a_form(simulators: RunningSimulators) -> None:
    with session() as http:
        form = {"token": TOKEN, "channel": "C1", "text": "hei"}
        answer = http.post(simulators.addresses["slack_api"] + "chat.postMessage", data=form, timeout=10)
    assert answer.json()["ok"] is True
    assert simulators.control.slack_messages()[0]["message"] == {"channel": "C1", "text": "hei"}


def test_a_message_by_the_incoming_webhook(simulators: RunningSimulators) -> None:
    answer = WebhookClient(simulators.addresses["slack_webhook"]).send(text="hei")
    assert (answer.status_code, answer.body) == (200, "ok")
    assert simulators.control.wait("alerts", 1) == 1


@pytest.mark.parametrize(
    ("token", "channel", "text", "error"),
    [
        ("secret", "C1", "hei", "invalid_auth"),
        ("xoxb-1", "", "hei", "channel_not_found"),
        ("xoxb-1", "C1", "", "no_text"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text` argument is missing:UserWarning")
def test_refusals_are_in_the_body_of_the_answer(
    simulators: RunningSimulators, token: str, channel: str, text: str, error: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        web_client(simulators, token).chat_postMessage(channel=channel, text=text)
    assert refused.value.response["error"] == error
    assert simulators.control.slack_messages() == []


def test_the_tests_of_the_api(simulators: RunningSimulators) -> None:
    client = web_client(simulators)
    assert client.api_test()["ok"] is True
    assert client.auth_test()["user_id"] == "U0"


def test_too_many_messages(simulators: RunningSimulators) -> None:
    simulators.control.faults({"system": "slack", "kind": "status", "status": 429, "retry_after": 1})
    answer = WebhookClient(simulators.addresses["slack_webhook"]).send(text="hei")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert simulators.control.summary()["alerts"] == 0


def test_a_document_is_indexed(simulators: RunningSimulators) -> None:
    with session() as http:
        good = http.post(f"{simulators.addresses['laas']}/casebridge/_doc", json={"event": "registered"}, timeout=10)
        bad = http.post(f"{simulators.addresses['laas']}/casebridge/_doc", data="registered", timeout=10)
    assert (good.status_code, good.json()["result"], bad.status_code) == (201, "created", 400)
    assert simulators.control.laas_documents() == [{"index": "casebridge", "document": {"event": "registered"}}]
