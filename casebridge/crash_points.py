"""Named places where a process may die, so that tests can kill it exactly there.

A place costs one comparison in production. It is armed only by `CASEBRIDGE_CRASH_POINT` (a name below), together with
`CASEBRIDGE_CRASH_KIND` (`kill` for SIGKILL, `exception`) and `CASEBRIDGE_CRASH_AFTER` (how often it is passed first).
The idea is that of the Dagster daemon's own tests.
"""

import itertools
import os
import signal
from typing import Final

CRASH_POINTS: Final = (
    "cases_written",  # FS was read and the cases exist; no message yet
    "messages_written",  # the messages exist; the keys that keep them from coming twice do not
    "keys_written",  # accepted; the watermark still stands where it stood
    "watermark_written",
    "claimed",  # the lease is ours; nothing was done
    "step_begun",
    "effect_made",  # the outside system did it; we have not written that down
    "step_recorded",
    "audit_written",  # the audit tells of an outcome that the message does not show yet
    "concluded",  # the cases say what was done; the messages do not
    "settled",  # the outcome is written; a processed message stands in both collections
    "message_removed",
    "effect_delivered",  # LaaS or the alert has it; the message still owes it
)
CONSUMER_CRASH_POINTS: Final = (
    "records_accepted",  # Kafka's records are in the inbox; their offsets are not committed
    "offsets_committed",
)
"""What only a process passes that consumes from Kafka, besides those above that every source passes."""
PRODUCER_CRASH_POINTS: Final = (
    "record_published",  # Kafka has the record; the message still owes it
)
"""What only a process passes that owes Kafka something."""

_armed: Final = os.environ.get("CASEBRIDGE_CRASH_POINT")
_kind: Final = os.environ.get("CASEBRIDGE_CRASH_KIND", "kill")
_passes: Final = itertools.count(-int(os.environ.get("CASEBRIDGE_CRASH_AFTER", "0")))


class SimulatedCrashError(Exception):
    """Stands for any defect at the armed place."""


def crash_point(name: str) -> None:
    """Die here if `name` is armed."""
    if _armed is None or _armed != name or next(_passes) != 0:
        return
    if _kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise SimulatedCrashError(name)
