"""The states of a message and what moves it from one to another, as data. The code that changes a status asks this table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from casebridge.messaging.queue.message import MessageStatus

ENQUEUED, PROCESSING, PROCESSED, FAILED, DEAD, DISCARDED = MessageStatus


class Action(StrEnum):
    """What changes the status of a message."""

    CLAIM = "claim"
    RELEASE = "release"
    FINISH = "finish"
    FAIL = "fail"
    PUT_BACK = "put back"
    SET_ASIDE = "set aside"
    REPLAY = "replay"
    DISCARD = "discard"


class Transition(NamedTuple):
    """From which statuses an action leads, and to which."""

    sources: tuple[MessageStatus, ...]
    targets: tuple[MessageStatus, ...]


TRANSITIONS: Final[Mapping[Action, Transition]] = MappingProxyType(
    {
        # A message in work is claimed again when its lease has run out.
        Action.CLAIM: Transition((ENQUEUED, PROCESSING, FAILED), (PROCESSING,)),
        Action.RELEASE: Transition((PROCESSING,), (ENQUEUED,)),
        Action.FINISH: Transition((PROCESSING,), (PROCESSED,)),
        Action.FAIL: Transition((PROCESSING,), (FAILED, ENQUEUED, DEAD)),
        # `casebridge prepare`: two messages of one case were in work.
        Action.PUT_BACK: Transition((PROCESSING,), (FAILED,)),
        # A document that no claim can take, or that takes no failure.
        Action.SET_ASIDE: Transition((ENQUEUED, PROCESSING, FAILED), (DEAD,)),
        # A message that waits for its next attempt is replayed, too: at once, with all attempts.
        Action.REPLAY: Transition((FAILED, DEAD, DISCARDED), (ENQUEUED,)),
        Action.DISCARD: Transition((DEAD,), (DISCARDED,)),
    }
)

ALLOWED_NEXT: Final[Mapping[MessageStatus, frozenset[MessageStatus]]] = MappingProxyType(
    {
        status: frozenset(
            target
            for transition in TRANSITIONS.values()
            if status in transition.sources
            for target in transition.targets
        )
        for status in MessageStatus
    }
)
"""The same by status: what may follow it. Nothing follows `processed`."""


class IllegalTransitionError(ValueError):
    """A change of status that the table does not have: a defect of the caller, noticed before anything is written."""

    def __init__(self, action: Action, status: MessageStatus) -> None:
        super().__init__(f"{action.value}: {status.value} is none of its statuses")


def sources(action: Action) -> list[str]:
    """The statuses from which the action leads, as they are stored: for a filter."""
    return [status.value for status in TRANSITIONS[action].sources]


def target(action: Action, status: MessageStatus | None = None) -> str:
    """The status to which the action leads, as it is stored. Where there are several, `status` says which.

    Raises `IllegalTransitionError` if the action does not lead to `status`.
    """
    targets = TRANSITIONS[action].targets
    if status is None:
        (status,) = targets
    if status not in targets:
        raise IllegalTransitionError(action, status)
    return status.value


def source(action: Action, status: MessageStatus | None = None) -> str:
    """Likewise the status from which the action leads."""
    allowed = TRANSITIONS[action].sources
    if status is None:
        (status,) = allowed
    if status not in allowed:
        raise IllegalTransitionError(action, status)
    return status.value
