"""Records what a process sends to MongoDB, with command listeners of the driver: number of commands, writes, and times.

A command listener receives the events only of clients that are created after `pymongo.monitoring.register`.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import bson
from pymongo import monitoring

WRITES: Final = frozenset({"insert", "update", "delete"})
NOT_READ: Final = frozenset({"findAndModify", "findandmodify", "bulkWrite"})
"""Writes that casebridge does not use, and whose replies are not read here."""


@dataclass(frozen=True)
class Write:
    """One write command as it was sent, and the number of documents that it wrote according to the server."""

    database: str
    command: dict[str, Any]
    documents: int

    @property
    def name(self) -> str:
        return next(iter(self.command))

    @property
    def collection(self) -> str:
        return str(self.command[self.name])


class CommandLog(monitoring.CommandListener):
    """Counts the commands of this process by name. One command is one round trip."""

    def __init__(self, *, keep_writes: bool = False) -> None:
        """With `keep_writes`, the write commands are kept, too. This costs processor time."""
        self.counts: Counter[str] = Counter()
        self.writes: list[Write] = []
        """In the order in which the server answered."""
        self._keep_writes = keep_writes
        self._under_way: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name.startswith("sasl"):
            return  # sent by the driver itself, once for each connection, to a server with users
        with self._lock:
            self.counts[event.command_name] += 1
            if self._keep_writes and event.command_name in WRITES:
                # Encoded at once: the sender may change the documents afterwards.
                self._under_way[event.request_id] = bson.encode(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        with self._lock:
            if (command := self._under_way.pop(event.request_id, None)) is not None:
                documents = _documents(event.command_name, event.reply)
                self.writes.append(Write(event.database_name, bson.decode(command), documents))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        with self._lock:
            self._under_way.pop(event.request_id, None)

    def check_complete(self) -> None:
        """Raises `ValueError` if there was a write that is not in `writes`."""
        if unread := sorted(NOT_READ & self.counts.keys()):
            raise ValueError(f"{', '.join(unread)}: the benchmark does not count the documents of this command")


def _documents(name: str, reply: Mapping[str, Any]) -> int:
    """How many documents a command wrote."""
    if name == "update":
        return int(reply["nModified"]) + len(reply.get("upserted", ()))
    return int(reply["n"])


@dataclass(frozen=True)
class CommandTimes:
    """Commands in some time: how many, their seconds in all, and the seconds in which at least one was under way."""

    commands: int = 0
    in_all: float = 0.0
    any_under_way: float = 0.0

    def since(self, earlier: "CommandTimes") -> "CommandTimes":
        return CommandTimes(
            self.commands - earlier.commands,
            self.in_all - earlier.in_all,
            self.any_under_way - earlier.any_under_way,
        )


class CommandTimer(monitoring.CommandListener):
    """Measures how long this process waits for answers of MongoDB.

    A `getMore` with `maxTimeMS` is left out. It belongs to a change stream, and the server answers when something happens.
    """

    def __init__(self) -> None:
        self._times = CommandTimes()
        self._under_way: dict[int, float] = {}
        self._busy_since = 0.0
        self._lock = threading.Lock()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "getMore" and "maxTimeMS" in event.command:
            return
        with self._lock:
            now = time.monotonic()
            if not self._under_way:
                self._busy_since = now
            self._under_way[event.request_id] = now

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._ended(event.request_id)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._ended(event.request_id)

    def _ended(self, request_id: int) -> None:
        with self._lock:
            began = self._under_way.pop(request_id, None)
            if began is None:
                return
            now, times = time.monotonic(), self._times
            busy = 0.0 if self._under_way else now - self._busy_since
            self._times = CommandTimes(times.commands + 1, times.in_all + now - began, times.any_under_way + busy)

    def times(self) -> CommandTimes:
        """The times until now. `any_under_way` includes commands that have not ended yet."""
        with self._lock:
            busy = time.monotonic() - self._busy_since if self._under_way else 0.0
            times = self._times
            return CommandTimes(times.commands, times.in_all, times.any_under_way + busy)
