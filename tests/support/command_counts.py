"""Counts the commands that this process sends to MongoDB, by name: a cost that does not depend on the machine's speed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymongo import monitoring

OF_THE_DRIVER: Final = frozenset({"saslStart", "saslContinue", "authenticate", "logout", "endSessions"})
"""The driver itself sends these for each connection to a server with users. They are not counted."""


class _Count(monitoring.CommandListener):
    """The one listener of this process. The driver keeps a listener for ever, so each count adds a counter to this one."""

    def __init__(self) -> None:
        self.counting: list[Counter[str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in OF_THE_DRIVER:
            return
        for commands in self.counting:
            commands[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to do: the command was counted when it was sent."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to do: the command was counted when it was sent."""


_count = _Count()
monitoring.register(_count)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the commands of all clients that were made after this module was imported."""
    commands: Counter[str] = Counter()
    _count.counting.append(commands)
    try:
        yield commands
    finally:
        _count.counting.remove(commands)
