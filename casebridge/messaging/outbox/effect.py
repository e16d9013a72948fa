"""The two interfaces of the outbox.

- An *announcer* decides which effects an outcome has. It is called when a message is settled. The effects are stored together
  with the new status.
- A *channel* delivers effects of one kind. The relay calls it later.

Both are registered in the wiring of a process (`resources.wiring`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from casebridge.messaging.queue.message import Message, PendingEffect
from casebridge.messaging.queue.outcome import Outcome

Announcer = Callable[[Message, Outcome], Sequence[PendingEffect]]
"""The effects of an outcome. Called for `processed` and `dead` only; changes nothing."""


class EffectChannel(Protocol):
    """Delivers effects of one kind. After a crash an effect may be delivered again with the same id. None is lost."""

    @property
    def may_be_given_up(self) -> bool:
        """Whether an effect may be dropped that could not be delivered for long, such as an index entry."""
        ...

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Deliver effects (`id`, `kind`, `body`). The relay passes one at a time.

        Returns the ids of effects that are still pending because the channel is away, each with the code of the error. Then no
        effect of this kind is tried for a while.

        Raises `PermanentError` if the channel can never take an effect. That effect is set aside, and the others are delivered.
        """
        ...
