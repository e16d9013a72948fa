"""What the engine lets an observer know: metrics and traces are made of it elsewhere (`resources.telemetry`).

One observer a process, like a log: whoever does something tells it, whoever wires the process says who it is. Without one, each
of these calls does nothing. An observer never raises, keeps no message, and is told no personal data but what a message holds:
it uses the names, codes and the correlation id only.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the queue tells of its messages here: at run time it imports this
    from casebridge.messaging.queue.message import Message, NewMessage
    from casebridge.messaging.queue.outcome import Outcome


class Observation:
    """Something that takes time, from its beginning until `ended` is called, once, in the same thread."""

    headers: Mapping[str, str] = {}
    """What a call sends along, so that the other end can join its trace: nothing, unless a setting says so."""

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """`code` is the error's, if it failed; `status` that of an HTTP answer."""


class Observer:
    """One that sees nothing. Thread-safe."""

    def reading(self, source: str, institution: str) -> Observation:  # noqa: ARG002
        """A source is read: what this thread accepts until it ended came from there."""
        return NOTHING

    def accepted(self, messages: "Sequence[NewMessage]", now: datetime) -> None:
        """New messages are in the inbox, since `now` by the database server's clock."""

    def claimed(self, messages: "Sequence[Message]") -> None:
        """Messages are in the hands of this process."""

    def handling(self, message: "Message") -> Observation:  # noqa: ARG002
        """A worker runs a message's steps. Steps and calls of this thread belong to it until it ended."""
        return NOTHING

    def step(self, name: str) -> Observation:  # noqa: ARG002
        """One step of the message that this thread handles."""
        return NOTHING

    def settling(self, messages: "Sequence[Message]") -> Observation:  # noqa: ARG002
        """What became of these messages is written down, for all at once."""
        return NOTHING

    def outcome(self, outcome: "Outcome") -> None:
        """What became of one claimed message."""

    def lease_lost(self, message: "Message") -> None:
        """Another worker has taken over a message while this process had it in hand."""

    def call(self, system: str, institution: str, method: str, template: str) -> Observation:  # noqa: ARG002
        """An HTTP call to an outside system. `template` is its path with names in the place of values."""
        return NOTHING

    def delivery(self, kind: str, institution: str, queue: str, correlation_id: str | None) -> Observation:  # noqa: ARG002
        """Something owed is delivered. Without an id it belongs to no message: a folded alert."""
        return NOTHING


NOTHING: Final = Observation()
NOBODY: Final = Observer()
_observer = NOBODY


def observer() -> Observer:
    """Whoever observes this process."""
    return _observer


@contextmanager
def observed_by(new: Observer) -> Iterator[None]:
    """Let `new` observe the process within the block."""
    global _observer  # noqa: PLW0603 one a process
    before, _observer = _observer, new
    try:
        yield
    finally:
        _observer = before
