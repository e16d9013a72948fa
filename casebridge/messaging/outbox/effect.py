"""What a settled message owes to the outside, and who delivers it: two small doors, one on each side of the database.

An *announcer* says, when a message is settled, what is owed for that; the worker writes it down together with the new state. A
*channel* delivers effects of one kind later, in the relay. Both are registered where a process is wired
(`resources.wiring`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from casebridge.messaging.queue.message import Failure, Message, MessageStatus, PendingEffect


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt: the new status, the step it came to, and what went wrong, if anything did."""

    status: MessageStatus
    step: str
    failure: Failure | None = None


Announcer = Callable[[Message, Outcome], Sequence[PendingEffect]]
"""What is owed for a settlement. Called for `processed` and `dead`; pure but for drawing the effects' ids."""


class EffectChannel(Protocol):
    """Delivers effects of one kind. A crash may deliver one again with the same id; it is never lost."""

    @property
    def may_be_given_up(self) -> bool:
        """Whether an effect that could not be delivered for long may be dropped at last (an index entry), or never."""
        ...

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Deliver effects (`id`, `kind`, `body`); the relay hands over one at a time.

        Returns the ids of those that are still owed because the channel is away, each with the code of what went wrong:
        then nothing else of this kind is tried for a while. Raises `PermanentError` where one effect is what the channel
        can never take, whoever asks and whenever: that one is set aside, and the others go on.
        """
        ...
