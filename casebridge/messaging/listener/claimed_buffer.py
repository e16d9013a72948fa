"""The messages that a listener has claimed and not begun. They are handed out to workers, one tenant after the other."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from casebridge.messaging.listener.isolated import IsolatedMessages
from casebridge.messaging.queue.message import Message


class ClaimedBuffer:
    """Not thread-safe: `HeldMessages` calls it under its lock. One tenant may have `most` messages in work at once."""

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
        """The next message, from each tenant in turn that may begin one more.

        A message that is to be run alone begins when nothing is in work. Nothing else begins while it runs.
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
        """Note that no worker has the message any more."""
        self._isolated.ended(message)

    def take_all(self) -> list[Message]:
        """Remove and return everything that was not begun, so that it can be given back."""
        messages = [message for queue in self._waiting.values() for message in queue]
        self._waiting.clear()
        return [*messages, *self._isolated.take_all()]

    def __len__(self) -> int:
        """Without messages that are to be run alone: after a kill these are many, and they must not stop other claims."""
        return sum(len(queue) for queue in self._waiting.values())
