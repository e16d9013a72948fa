"""Decides whether a batch of the queue must be run because no listener handles the messages."""

from dataclasses import dataclass
from datetime import timedelta

from resources.wiring.process import Process


@dataclass(frozen=True)
class Backlog:
    """`batch_needed` says whether a batch must be run, `summary` why or why not."""

    batch_needed: bool
    summary: str


def read_backlog(process: Process) -> Backlog:
    """A batch is needed if messages are due and no listener is alive, or if messages are overdue in spite of a listener.

    Only messages that can be handled count. These do not count, because a run for them would do nothing, every minute:

    - messages that wait for their next attempt,
    - messages of paused institutions,
    - messages of queues that no capability declares.
    """
    listeners, paused = process.operators.status.listeners_alive(process.stores.served), process.stores.pauses.paused()
    if listeners:
        overdue_after = timedelta(seconds=process.settings.queue.overdue_seconds)
        if process.stores.queue.is_due(overdue_after, passing_over=paused, queues=process.queues):
            return Backlog(
                True, f"messages are due for over {overdue_after.total_seconds():.0f} s in spite of a listener"
            )
        return Backlog(False, f"{listeners} listeners are at work")
    if process.stores.queue.is_due(timedelta(), passing_over=paused, queues=process.queues):
        return Backlog(True, "messages are due and no listener is alive")
    return Backlog(False, "no message is due")
