"""The observer that the engine reports to. `resources.telemetry` makes metrics and traces of these calls.

- A process has one observer, like a log. The wiring of the process sets it. Without one, each call does nothing.
- An observer never raises, and keeps no message.
- It gets no personal data except inside a message. It uses only names, codes and the correlation id.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the queue imports this module at run time
    from casebridge.messaging.queue.message import Message, NewMessage
    from casebridge.messaging.queue.outcome import Outcome


class Observation:
    """Something that takes time. It lasts until `ended` is called, once, in the same thread."""

    headers: Mapping[str, str] = {}
    """The headers to send with a call, so that the other end can join its trace. Empty, unless a setting says so."""

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """`code` is the code of the error if it failed. `status` is the status of an HTTP answer."""


class Observer:
    """An observer that does nothing. Thread-safe."""

    def reading(self, source: str, institution: str) -> Observation:  # noqa: ARG002
        """A source is read. Messages that this thread accepts before the end come from this source."""
        return NOTHING

    def accepted(self, messages: "Sequence[NewMessage]", now: datetime) -> None:
        """New messages were put into the inbox at `now`, by the database server's clock."""

    def claimed(self, messages: "Sequence[Message]") -> None:
        """The process has claimed messages."""

    def handling(self, message: "Message") -> Observation:  # noqa: ARG002
        """A worker runs a message's steps. Steps and calls of this thread belong to the message until the end."""
        return NOTHING

    def step(self, name: str) -> Observation:  # noqa: ARG002
        """One step of the message that this thread handles."""
        return NOTHING

    def settling(self, messages: "Sequence[Message]") -> Observation:  # noqa: ARG002
        """The results of these messages are stored, for all at once."""
        return NOTHING

    def outcome(self, outcome: "Outcome") -> None:
        """One claimed message has this outcome."""

    def lease_lost(self, message: "Message") -> None:
        """Another worker has taken over a message that this process held."""

    def call(self, system: str, institution: str, method: str, template: str) -> Observation:  # noqa: ARG002
        """An HTTP call to an outside system. `template` is its path with names instead of values."""
        return NOTHING

    def delivery(self, kind: str, institution: str, queue: str, correlation_id: str | None) -> Observation:  # noqa: ARG002
        """A pending effect is delivered. Without `correlation_id` it is a folded alert, which belongs to no message."""
        return NOTHING


NOTHING: Final = Observation()
NOBODY: Final = Observer()
_observer = NOBODY


def observer() -> Observer:
    """The observer of this process."""
    return _observer


@contextmanager
def observed_by(new: Observer) -> Iterator[None]:
    """Make `new` the observer of the process within the block."""
    global _observer  # noqa: PLW0603 one for each process
    before, _observer = _observer, new
    try:
        yield
    finally:
        _observer = before
