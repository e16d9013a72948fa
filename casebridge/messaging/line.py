"""The messages that a listener has claimed and not begun, handed out tenant by tenant."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from casebridge.messaging.message import Message


class Line:
    """Not thread-safe: it belongs to the thread that claims. `most` is how many one tenant may have in work at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._waiting.setdefault(message.tenant, deque()).append(message)

    def next(self, in_work: Counter[str]) -> Message | None:
        """The next message of a tenant that may begin one more; each tenant once a round."""
        for tenant in list(self._waiting):
            if in_work[tenant] < self._most:
                queue = self._waiting.pop(tenant)
                message = queue.popleft()
                if queue:
                    self._waiting[tenant] = queue
                return message
        return None

    def take_all(self) -> list[Message]:
        """Everything that was not begun, for giving it back."""
        messages = [message for queue in self._waiting.values() for message in queue]
        self._waiting.clear()
        return messages

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())
