"""Who says what is to be delivered to the outside, and who delivers it: the two interfaces of the outbox.

- An *announcer* is called when a message is settled. It returns the effects of that, which are written together with the new
  status.
- A *channel* delivers effects of one kind later, in the relay.

Both are registered where a process is wired (`resources.wiring`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from casebridge.messaging.queue.message import Message, PendingEffect
from casebridge.messaging.queue.outcome import Outcome

Announcer = Callable[[Message, Outcome], Sequence[PendingEffect]]
"""The effects of an outcome. Called for `processed` and `dead` only; changes nothing."""


class EffectChannel(Protocol):
    """Delivers effects of one kind. A crash may deliver one again with the same id; it is never lost."""

    @property
    def may_be_given_up(self) -> bool:
        """Whether an effect that could not be delivered for long may be dropped at last (an index entry), or never."""
        ...

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Deliver effects (`id`, `kind`, `body`); the relay hands over one at a time.

        Returns the ids of those that are still pending because the channel is away, each with the code of what went wrong:
        then nothing else of this kind is tried for a while. Raises `PermanentError` where one effect is what the channel
        can never take: that one is set aside, and the others go on.
        """
        ...
