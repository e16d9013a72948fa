"""A bounded cache whose values live for a short time. Each key is loaded once, even if many threads ask for it.

It is for answers of outside systems that many messages share: an exam's flow, a flow's participants, an access token. A failure
is never kept: the threads that wait for a load get its error, and the next caller loads again.
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
    """A value in the cache. Its loading began at `loaded_at`. Both times are seconds of the monotonic clock."""

    value: Value
    loaded_at: float
    usable_until: float


class ShortCache(Generic[Key, Value]):
    """The cache. Thread-safe. `lifetime` returns a value's seconds of use; `capacity` limits the weight of all values.

    The newest value is kept even if it alone is too heavy, because it has just been loaded.
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
        """The value of `key`. If it must be loaded, this thread does it, or waits for another that does it already.

        `instead_of` is an entry that the caller rejects. It is not returned again, and many threads that reject the same entry
        cause one load. Raises what `load` raises.
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
        """The value of `key`, from a load that began at `since` or later. Simultaneous callers share the load."""
        entry = self.get(key, load)
        while entry.loaded_at < since:
            entry = self.get(key, load, instead_of=entry)
        return entry

    def _load(self, key: Key, load: Callable[[], Value], pending: "Future[Entry[Value]]") -> None:
        started = self._monotonic()
        try:
            value = load()
            entry = Entry(value, started, started + self._lifetime(value))
        except BaseException as error:  # noqa: BLE001 waiting threads must get every error
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
