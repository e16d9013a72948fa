"""The messages that one process holds: claimed and not settled. Who of them waits, who is in work, and how many more fit."""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from casebridge.messaging.listener.claimed_buffer import ClaimedBuffer
from casebridge.messaging.queue.message import Message
from casebridge.settings import QueueSettings

PREFETCH: Final = 6
"""Claimed messages per worker: enough that a claim's cost is shared, few enough that another process finds work."""
SMALL_CREW: Final = 4
"""With fewer workers than this none is reserved: one institution may keep all of them busy."""


class HeldMessages:
    """Thread-safe."""

    def __init__(self, settings: QueueSettings) -> None:
        self._workers = settings.workers
        self._group_size = settings.group_size
        self._capacity = settings.workers * PREFETCH
        share = settings.institution_share if settings.workers >= SMALL_CREW else 1.0
        self._most_of_a_tenant = math.ceil(self._capacity * share)
        self._waiting = ClaimedBuffer(math.ceil(settings.workers * share))
        self._held: dict[str, Message] = {}
        """Their leases are kept."""
        self._in_work: Counter[str] = Counter()
        """How many are with a worker, by tenant."""
        self._lock = threading.Lock()

    def hold(self, messages: Iterable[Message]) -> None:
        """They were claimed: from now on their leases are kept."""
        with self._lock:
            self._held.update({message.key: message for message in messages})

    def offer(self, messages: Iterable[Message]) -> None:
        """They may be begun."""
        with self._lock:
            self._waiting.add(messages)

    def begin(self) -> Message | None:
        """The next message for a worker; `None` if no worker is free, or nothing may begin now."""
        with self._lock:
            if self._in_work.total() >= self._workers:
                return None
            message = self._waiting.next(self._in_work)
            if message is not None:
                self._in_work[message.tenant] += 1
            return message

    def ended(self, message: Message) -> None:
        """No worker has it any more; its lease is kept until it is dropped."""
        with self._lock:
            self._in_work[message.tenant] -= 1
            self._waiting.ended(message)

    def drop(self, messages: Iterable[Message]) -> None:
        """They are settled, given back, or another worker's."""
        with self._lock:
            for message in messages:
                self._held.pop(message.key, None)

    def take_waiting(self) -> list[Message]:
        """Everything that was not begun, for giving it back."""
        with self._lock:
            return self._waiting.take_all()

    def all(self) -> Sequence[Message]:
        with self._lock:
            return list(self._held.values())

    def room(self) -> int:
        """How many more to claim. None, while so many wait that a claim would hardly pay."""
        with self._lock:
            room = min(self._group_size, self._capacity - len(self._beside_others()))
            return 0 if len(self._waiting) > self._workers else room

    def busy_tenants(self) -> set[str]:
        """Tenants that hold their share: the rest is kept free for the others."""
        with self._lock:
            held = Counter(message.tenant for message in self._beside_others())
        return {tenant for tenant, messages in held.items() if messages >= self._most_of_a_tenant}

    def _beside_others(self) -> list[Message]:
        """Without those that are to be run alone: after a kill these are many and wait long."""
        return [message for message in self._held.values() if not message.isolated]

    def __len__(self) -> int:
        return len(self._held)
