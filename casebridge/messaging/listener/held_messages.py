"""The messages that one process holds: claimed and not settled. It knows which wait, which are in work, and how many more fit."""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from casebridge.messaging.listener.claimed_buffer import ClaimedBuffer
from casebridge.messaging.queue.message import Message
from casebridge.settings import QueueSettings

PREFETCH: Final = 6
"""Claimed messages per worker: enough to share the cost of a claim, and few enough to leave work for other processes."""
SMALL_CREW: Final = 4
"""With fewer workers than this, none is reserved: one institution may use all of them."""


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
        """By key: all messages whose leases are renewed."""
        self._in_work: Counter[str] = Counter()
        """How many messages are with a worker, by tenant."""
        self._lock = threading.Lock()

    def hold(self, messages: Iterable[Message]) -> None:
        """Renew the leases of these claimed messages from now on."""
        with self._lock:
            self._held.update({message.key: message for message in messages})

    def offer(self, messages: Iterable[Message]) -> None:
        """Let workers begin these messages."""
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
        """Note that no worker has the message any more. Its lease is renewed until it is dropped."""
        with self._lock:
            self._in_work[message.tenant] -= 1
            self._waiting.ended(message)

    def drop(self, messages: Iterable[Message]) -> None:
        """Hold these messages no longer: they are settled, given back, or held by another worker."""
        with self._lock:
            for message in messages:
                self._held.pop(message.key, None)

    def take_waiting(self) -> list[Message]:
        """Remove and return everything that was not begun, so that it can be given back."""
        with self._lock:
            return self._waiting.take_all()

    def all(self) -> Sequence[Message]:
        with self._lock:
            return list(self._held.values())

    def room(self) -> int:
        """How many more messages to claim. 0 while more messages wait than there are workers: a small claim hardly pays."""
        with self._lock:
            room = min(self._group_size, self._capacity - len(self._without_isolated()))
            return 0 if len(self._waiting) > self._workers else room

    def busy_tenants(self) -> set[str]:
        """The tenants that have their full share. The rest of the room is kept free for the others."""
        with self._lock:
            held = Counter(message.tenant for message in self._without_isolated())
        return {tenant for tenant, messages in held.items() if messages >= self._most_of_a_tenant}

    def _without_isolated(self) -> list[Message]:
        """The held messages without those that are to be run alone: after a kill these are many and wait long."""
        return [message for message in self._held.values() if not message.isolated]

    def __len__(self) -> int:
        return len(self._held)
