"""Requests about dead letters mean the same, and are answered with the same sentences, in the command line and in Dagster."""

from datetime import UTC, datetime, timedelta

import pytest

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetter, RequestError
from casebridge.operators.dead_letter_requests import Form, LetterRequest, commands_for, next_step, summary
from casebridge.operators.dead_letters import DISCARDED, REPLAYED, ActionReport, Order

NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)
FORM = Form(for_real="Add --for-real", limit="--limit", bring_back="`a replay`")


def test_a_request_is_read() -> None:
    wanted = LetterRequest("failed", "uis.no/prod", "q", "a.b", "c-1", "2h", "2026-01-08T11:30").filter(NOW)
    assert wanted.status is MessageStatus.FAILED
    assert (wanted.institution, wanted.queue, wanted.code, wanted.correlation_id) == ("uis.no/prod", "q", "a.b", "c-1")
    assert (wanted.since, wanted.before) == (NOW - timedelta(hours=2), datetime(2026, 1, 8, 11, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("request_typed", "sentence"),
    [
        (LetterRequest(status="processing"), "only dead, failed or discarded"),
        (LetterRequest(status="gone"), "no such status: there are dead, failed, discarded"),
        (LetterRequest(since="yesterday"), "'yesterday' is no moment"),
        (LetterRequest(since="1h", before="2h"), "is not before"),
    ],
)
def test_an_invalid_request_is_refused_with_the_reason(request_typed: LetterRequest, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        request_typed.filter(NOW)


@pytest.mark.parametrize(("reason", "asked_by", "option"), [(" ", "kari", "reason"), ("why", "", "asked_by")])
def test_an_order_names_the_option_that_is_missing(reason: str, asked_by: str, option: str) -> None:
    with pytest.raises(RequestError) as raised:
        Order(1, False, reason, asked_by)
    assert raised.value.option == option
    assert Order(1, True, reason, asked_by).dry_run


def report(action: str, *, dry_run: bool, found: int = 3) -> ActionReport:
    return ActionReport(action, found, 3, 0 if dry_run else 2, dry_run, {}, [])


@pytest.mark.parametrize(
    ("said", "sentences"),
    [
        (
            report(REPLAYED, dry_run=True),
            "3 found, 3 would be replayed. Nothing was changed. Add --for-real: 3 messages will be replayed.",
        ),
        (
            report(REPLAYED, dry_run=False),
            "3 found, 2 replayed. A listener takes them at once; without one `backlog_sensor` starts a batch within a minute.",
        ),
        (
            report(DISCARDED, dry_run=False, found=5),
            (
                "5 found, 2 discarded. For 30 days `a replay` brings back what was discarded by mistake. "
                "2 more are beyond --limit: the oldest come first."
            ),
        ),
    ],
)
def test_an_outcome_names_the_next_step(said: ActionReport, sentences: str) -> None:
    assert f"{summary(said)} {next_step(said, FORM)}" == sentences


@pytest.mark.parametrize(
    ("status", "commands"),
    [
        ("dead", "casebridge dead replay --case c-1, or casebridge dead discard --case c-1"),
        ("discarded", "casebridge dead replay --status discarded --case c-1"),
    ],
)
def test_the_commands_for_a_letter(status: str, commands: str) -> None:
    assert commands_for(DeadLetter.from_document({"correlationId": "c-1", "status": status})) == commands
