"""The messages that a listener has claimed and not begun, handed out institution by institution."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from casebridge.messaging.message import Message


class Line:
    """Not thread-safe: it belongs to the thread that claims. `most` is how many one institution may have in work at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._waiting.setdefault(message.institution, deque()).append(message)

    def next(self, in_work: Counter[str]) -> Message | None:
        """The next message of an institution that may begin one more; each institution once a round."""
        for institution in list(self._waiting):
            if in_work[institution] < self._most:
                queue = self._waiting.pop(institution)
                message = queue.popleft()
                if queue:
                    self._waiting[institution] = queue
                return message
        return None

    def take_all(self) -> list[Message]:
        """Everything that was not begun, for giving it back."""
        messages = [message for queue in self._waiting.values() for message in queue]
        self._waiting.clear()
        return messages

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())
