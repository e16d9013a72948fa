"""Whether a batch of the queue must be run, because no listener does it."""

from dataclasses import dataclass
from datetime import timedelta

from resources.wiring.process import Process


@dataclass(frozen=True)
class Backlog:
    """What waits. `batch_needed` says whether somebody must be sent, `told` says why or why not."""

    batch_needed: bool
    told: str


def look_at_backlog(process: Process) -> Backlog:
    """Messages that are due while no listener is alive, or that even a listener has left lying for too long.

    Only what can be handled counts. These do not: what waits for its next attempt, what a paused institution has, and a queue
    that no capability declares. A run for those would do nothing, every minute.
    """
    listeners, paused = process.operators.status.listeners_alive(process.stores.served), process.stores.pauses.paused()
    if listeners:
        patience = timedelta(seconds=process.settings.queue.overdue_seconds)
        if process.stores.queue.is_due(patience, passing_over=paused, queues=process.queues):
            return Backlog(True, f"messages are due for over {patience.total_seconds():.0f} s in spite of a listener")
        return Backlog(False, f"{listeners} listeners are at work")
    if process.stores.queue.is_due(timedelta(), passing_over=paused, queues=process.queues):
        return Backlog(True, "messages are due and no listener is alive")
    return Backlog(False, "no message is due")
