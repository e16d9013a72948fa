"""When a failed message is retried, and what that costs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import (
    AuthBrokenError,
    CaseError,
    NotReadyError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.queue.message import Message, MessageStatus
from casebridge.settings import QueueSettings

NOW = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
SETTINGS = QueueSettings()


def policy(draw: float = 0.5) -> RetryPolicy:
    return RetryPolicy(SETTINGS, lambda: draw)


def error(kind: type[CaseError], retry_after: timedelta | None = None) -> CaseError:
    return kind("test.code", "It failed.", "Look at it.", retry_after=retry_after)


def message(attempts: int) -> Message:
    return Message.from_document({"_id": "m", "attempts": attempts})


def test_a_permanent_error_sets_the_message_aside_at_once() -> None:
    outcome = policy().decide(message(1), "step", error(PermanentError), NOW)
    assert (outcome.status, outcome.due_at) == (MessageStatus.DEAD, None)


def test_a_transient_error_waits_fourfold_longer_each_time_and_ends_at_the_fifth_attempt() -> None:
    waits = []
    for attempts in range(1, 5):
        outcome = policy().decide(message(attempts), "step", error(TransientError), NOW)
        assert outcome.status is MessageStatus.FAILED
        assert outcome.is_charged
        assert outcome.due_at is not None
        waits.append((outcome.due_at - NOW).total_seconds())
    assert waits == [15, 60, 240, 480]
    assert policy().decide(message(5), "step", error(TransientError), NOW).status is MessageStatus.DEAD


@pytest.mark.parametrize("kind", [NotReadyError, RateLimitedError, AuthBrokenError])
def test_an_uncharged_error_costs_no_attempt_however_often(kind: type[CaseError]) -> None:
    outcome = policy().decide(message(99), "step", error(kind), NOW)
    assert outcome.status is MessageStatus.ENQUEUED
    assert not outcome.is_charged


@given(seconds=st.integers(1, 3600), draw=st.floats(0, 1, exclude_max=True), attempts=st.integers(1, 4))
def test_the_wait_is_never_shorter_than_the_other_system_asked(seconds: int, draw: float, attempts: int) -> None:
    asked = timedelta(seconds=seconds)
    for kind in (RateLimitedError, TransientError):
        due_at = policy(draw).decide(message(attempts), "step", error(kind, asked), NOW).due_at
        assert due_at is not None
        assert due_at >= NOW + asked


@given(draw=st.floats(0, 1, exclude_max=True), attempts=st.integers(1, 50))
def test_the_wait_stays_within_its_bounds(draw: float, attempts: int) -> None:
    wait = policy(draw).backoff(attempts).total_seconds()
    assert 0.8 * SETTINGS.retry_base_seconds <= wait <= 1.2 * SETTINGS.retry_cap_seconds
