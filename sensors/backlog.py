"""Whether a batch of the queue must be run, because no listener does it."""

from dataclasses import dataclass
from datetime import timedelta

from resources.wiring.bridge import Bridge


@dataclass(frozen=True)
class Backlog:
    """What waits. `batch_needed` says whether somebody must be sent, `told` says why or why not."""

    batch_needed: bool
    told: str


def look_at_backlog(bridge: Bridge) -> Backlog:
    """Messages that are due while no listener is alive, or that even a listener has left lying for too long.

    Only what can be handled counts: neither what waits for its next attempt nor what a paused institution has. A run for
    those would do nothing, every minute, for as long as the credentials are refused.
    """
    listeners, paused = bridge.status.listeners_alive(bridge.served), bridge.pauses.paused()
    if listeners:
        patience = timedelta(seconds=bridge.settings.queue.overdue_seconds)
        if bridge.queue.is_due(patience, passing_over=paused):
            return Backlog(True, f"messages are due for over {patience.total_seconds():.0f} s in spite of a listener")
        return Backlog(False, f"{listeners} listeners are at work")
    if bridge.queue.is_due(timedelta(), passing_over=paused):
        return Backlog(True, "messages are due and no listener is alive")
    return Backlog(False, "no message is due")
