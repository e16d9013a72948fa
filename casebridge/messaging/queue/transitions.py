"""The table of a message's statuses and the actions that change them. All code that changes a status uses this table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from casebridge.messaging.queue.message import MessageStatus

ENQUEUED, PROCESSING, PROCESSED, FAILED, DEAD, DISCARDED = MessageStatus


class Action(StrEnum):
    """An action that changes the status of a message."""

    CLAIM = "claim"
    RELEASE = "release"
    FINISH = "finish"
    FAIL = "fail"
    PUT_BACK = "put back"
    SET_ASIDE = "set aside"
    REPLAY = "replay"
    DISCARD = "discard"


class Transition(NamedTuple):
    """The statuses before an action, and those that may follow it."""

    sources: tuple[MessageStatus, ...]
    targets: tuple[MessageStatus, ...]


TRANSITIONS: Final[Mapping[Action, Transition]] = MappingProxyType(
    {
        # A message in work is claimed again when its lease has ended.
        Action.CLAIM: Transition((ENQUEUED, PROCESSING, FAILED), (PROCESSING,)),
        Action.RELEASE: Transition((PROCESSING,), (ENQUEUED,)),
        Action.FINISH: Transition((PROCESSING,), (PROCESSED,)),
        Action.FAIL: Transition((PROCESSING,), (FAILED, ENQUEUED, DEAD)),
        # `casebridge prepare`: two messages of one case were in work.
        Action.PUT_BACK: Transition((PROCESSING,), (FAILED,)),
        # A document that no claim can take, or that takes no failure.
        Action.SET_ASIDE: Transition((ENQUEUED, PROCESSING, FAILED), (DEAD,)),
        # A message that waits for its next attempt may be replayed, too: it runs at once, with all attempts.
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
"""The statuses that may follow each status. None follows `processed`."""


class IllegalTransitionError(ValueError):
    """The table has no such change of status. This is a defect of the caller; nothing was written."""

    def __init__(self, action: Action, status: MessageStatus) -> None:
        super().__init__(f"{action.value}: {status.value} is none of its statuses")


def sources(action: Action) -> list[str]:
    """The stored forms of all statuses from which the action is allowed: for a filter."""
    return [status.value for status in TRANSITIONS[action].sources]


def target(action: Action, status: MessageStatus | None = None) -> str:
    """The stored form of the status after the action. If there are several, `status` says which.

    Raises `IllegalTransitionError` if the action does not lead to `status`.
    """
    targets = TRANSITIONS[action].targets
    if status is None:
        (status,) = targets
    if status not in targets:
        raise IllegalTransitionError(action, status)
    return status.value


def source(action: Action, status: MessageStatus | None = None) -> str:
    """The stored form of the status before the action. If there are several, `status` says which.

    Raises `IllegalTransitionError` if the action is not allowed from `status`.
    """
    allowed = TRANSITIONS[action].sources
    if status is None:
        (status,) = allowed
    if status not in allowed:
        raise IllegalTransitionError(action, status)
    return status.value
