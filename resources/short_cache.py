"""A short-lived, bounded cache that loads each key once however many threads ask for it.

For answers of outside systems that many messages share: an exam's flow, a flow's participants, an access
token. Failures are never kept: those who wait for a load share its failure, the next caller tries again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Entry(Generic[Value]):
    """A kept value. Its loading began at `loaded_at`; both times are seconds of the monotonic clock."""

    value: Value
    loaded_at: float
    usable_until: float


class ShortCache(Generic[Key, Value]):
    """Thread-safe. `lifetime` gives the seconds that a value stays usable; `capacity` bounds the weight of all.

    The newest value is kept even if it alone is too heavy: it has just been paid for.
    """

    def __init__(
        self,
        lifetime: Callable[[Value], float],
        capacity: int,
        weigh: Callable[[Value], int] = lambda _: 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime = lifetime
        self._capacity = capacity
        self._weigh = weigh
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, Entry[Value]] = OrderedDict()
        self._loading: dict[Key, Future[Entry[Value]]] = {}
        self._weight = 0

    def get(self, key: Key, load: Callable[[], Value], instead_of: Entry[Value] | None = None) -> Entry[Value]:
        """The value of `key`, loaded by this thread or by the one that is at it already.

        `instead_of` is an entry that did not serve: it is not returned again, and many threads that reject the
        same entry cause one load. Raises what `load` raises.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry is not instead_of and entry.usable_until > self._monotonic():
                self._entries.move_to_end(key)
                return entry
            pending = self._loading.get(key)
            mine = pending is None
            if pending is None:
                pending = self._loading[key] = Future()
        if mine:
            self._load(key, load, pending)
        return pending.result()

    def get_since(self, key: Key, load: Callable[[], Value], since: float) -> Entry[Value]:
        """The value of `key`, whose loading began at `since` or later: a fresh look, which those who ask at one time share."""
        entry = self.get(key, load)
        while entry.loaded_at < since:
            entry = self.get(key, load, instead_of=entry)
        return entry

    def _load(self, key: Key, load: Callable[[], Value], pending: "Future[Entry[Value]]") -> None:
        started = self._monotonic()
        try:
            value = load()
            entry = Entry(value, started, started + self._lifetime(value))
        except BaseException as error:  # noqa: BLE001 whatever it is, those who wait must get it
            with self._lock:
                self._loading.pop(key, None)
            pending.set_exception(error)
            return
        with self._lock:
            self._loading.pop(key, None)
            self._keep(key, entry)
        pending.set_result(entry)

    def _keep(self, key: Key, entry: Entry[Value]) -> None:
        self._drop(key)
        self._entries[key] = entry
        self._weight += self._weigh(entry.value)
        while self._weight > self._capacity and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= self._weigh(entry.value)
