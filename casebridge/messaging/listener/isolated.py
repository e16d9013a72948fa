"""The messages that are run with nothing beside them, because their worker was lost more than once in a row (`Message.isolated`).

One of them may be what kills the process. Run alone it takes no other message with it, and shows that it was the one.

- While it runs nothing else is begun in this process.
- Afterwards ordinary work has as long as it took. So many of them after a kill delay ordinary work by half at most.
"""

import time
from collections import deque
from collections.abc import Callable

from casebridge.messaging.queue.message import Message


class IsolatedMessages:
    """Not thread-safe: `HeldMessages` calls under its lock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: deque[Message] = deque()
        self._in_work: Message | None = None
        self._next_at = float("-inf")
        self._stopped_at = float("inf")
        """Since when ordinary work waits for one of these."""

    def add(self, message: Message) -> None:
        """What was lost while it ran alone comes first: most likely it kills the process. So it soon has no attempts left."""
        if message.stored.get("alone") is True:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)

    @property
    def in_work(self) -> bool:
        """Whether one runs: then nothing else may begin."""
        return self._in_work is not None

    @property
    def wants_turn(self) -> bool:
        """Whether nothing more may begin, so that the next of these can."""
        if not self._waiting or self._monotonic() < self._next_at:
            return False
        self._stopped_at = min(self._stopped_at, self._monotonic())
        return True

    def begin(self) -> Message | None:
        """The next one, when nothing is in work."""
        if not self._waiting:
            return None
        self._stopped_at = min(self._stopped_at, self._monotonic())
        self._in_work = self._waiting.popleft()
        return self._in_work

    def ended(self, message: Message) -> None:
        """Called for every message that ends; ordinary ones change nothing."""
        if message is self._in_work:
            now = self._monotonic()
            self._in_work, self._next_at, self._stopped_at = None, now + (now - self._stopped_at), float("inf")

    def take_all(self) -> list[Message]:
        messages = list(self._waiting)
        self._waiting.clear()
        return messages

    def __len__(self) -> int:
        return len(self._waiting)
