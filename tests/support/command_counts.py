"""Counts the commands that this process sends to MongoDB, by name: what a question costs, whatever the machine's speed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymongo import monitoring

OF_THE_DRIVER: Final = frozenset({"saslStart", "saslContinue", "authenticate", "logout", "endSessions"})
"""What the driver sends for each connection, on a server with users: nobody asked for it."""


class _Count(monitoring.CommandListener):
    """The driver keeps a listener for ever, so there is one, and those who count add theirs."""

    def __init__(self) -> None:
        self.counting: list[Counter[str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in OF_THE_DRIVER:
            return
        for commands in self.counting:
            commands[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Counted when it was sent."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Counted when it was sent."""


_count = _Count()
monitoring.register(_count)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """The commands of all clients that were made after this module was imported."""
    commands: Counter[str] = Counter()
    _count.counting.append(commands)
    try:
        yield commands
    finally:
        _count.counting.remove(commands)
