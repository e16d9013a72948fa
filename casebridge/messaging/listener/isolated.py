"""Messages that are run alone, because their worker was lost more than once in a row (`Message.isolated`).

One of them may be the cause that kills the process. When it runs alone, no other message is lost with it, and the cause is known.

- While one runs, nothing else is begun in this process.
- Afterwards ordinary work gets as much time as it took. So even many of them take at most half of the time.
"""

import time
from collections import deque
from collections.abc import Callable

from casebridge.messaging.queue.message import Message


class IsolatedMessages:
    """Not thread-safe: `HeldMessages` calls it under its lock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: deque[Message] = deque()
        self._in_work: Message | None = None
        self._next_at = float("-inf")
        self._stopped_at = float("inf")
        """Since when ordinary work waits for an isolated message."""

    def add(self, message: Message) -> None:
        """Add a message. One that was lost while it ran alone comes first.

        It most likely kills the process, so its attempts are used up soon.
        """
        if message.stored.get("alone") is True:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)

    @property
    def in_work(self) -> bool:
        """Whether an isolated message runs: then nothing else may begin."""
        return self._in_work is not None

    @property
    def wants_turn(self) -> bool:
        """Whether ordinary work must wait, so that the next isolated message can begin."""
        if not self._waiting or self._monotonic() < self._next_at:
            return False
        self._stopped_at = min(self._stopped_at, self._monotonic())
        return True

    def begin(self) -> Message | None:
        """The next isolated message. Called when nothing is in work."""
        if not self._waiting:
            return None
        self._stopped_at = min(self._stopped_at, self._monotonic())
        self._in_work = self._waiting.popleft()
        return self._in_work

    def ended(self, message: Message) -> None:
        """Called for every message that ends. An ordinary one changes nothing."""
        if message is self._in_work:
            now = self._monotonic()
            self._in_work, self._next_at, self._stopped_at = None, now + (now - self._stopped_at), float("inf")

    def take_all(self) -> list[Message]:
        messages = list(self._waiting)
        self._waiting.clear()
        return messages

    def __len__(self) -> int:
        return len(self._waiting)
