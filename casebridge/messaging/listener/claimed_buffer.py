"""The messages that a listener has claimed and not begun. They are handed out tenant by tenant."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from casebridge.messaging.listener.isolated import IsolatedMessages
from casebridge.messaging.queue.message import Message


class ClaimedBuffer:
    """Not thread-safe: `HeldMessages` calls under its lock. `most` is how many one tenant may have in work at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._isolated = IsolatedMessages()
        self._waiting: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.isolated:
                self._isolated.add(message)
                continue
            self._waiting.setdefault(message.tenant, deque()).append(message)

    def next(self, in_work: Counter[str]) -> Message | None:
        """The next message of a tenant that may begin one more, each tenant after the other.

        A message that is to be run alone begins when nothing is in work, and nothing begins beside it.
        """
        if self._isolated.in_work:
            return None
        is_idle = in_work.total() == 0
        if self._isolated.wants_turn:
            return self._isolated.begin() if is_idle else None
        for tenant in list(self._waiting):
            if in_work[tenant] < self._most:
                queue = self._waiting.pop(tenant)
                message = queue.popleft()
                if queue:
                    self._waiting[tenant] = queue
                return message
        return self._isolated.begin() if is_idle else None

    def ended(self, message: Message) -> None:
        """No worker has it any more."""
        self._isolated.ended(message)

    def take_all(self) -> list[Message]:
        """Everything that was not begun, for giving it back."""
        messages = [message for queue in self._waiting.values() for message in queue]
        self._waiting.clear()
        return [*messages, *self._isolated.take_all()]

    def __len__(self) -> int:
        """Without those that are to be run alone: they are many after a kill, and must keep no other from being claimed."""
        return sum(len(queue) for queue in self._waiting.values())
