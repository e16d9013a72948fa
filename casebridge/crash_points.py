"""Named places in the code where tests can kill the process.

In production a place costs one comparison. Three variables arm it:

- `CASEBRIDGE_CRASH_POINT`: a name below.
- `CASEBRIDGE_CRASH_KIND`: `kill` (SIGKILL) or `exception`.
- `CASEBRIDGE_CRASH_AFTER`: how often the place is passed first.

The idea comes from the tests of the Dagster daemon.
"""

import itertools
import os
import signal
from typing import Final

CRASH_POINTS: Final = (
    "cases_written",  # FS was read and the cases exist; no message yet
    "messages_written",  # the messages exist; the keys that prevent duplicates do not
    "keys_written",  # accepted; the watermark is not written yet
    "watermark_written",
    "claimed",  # we have the lease; nothing was done
    "step_begun",
    "effect_made",  # the outside system was changed; we have not stored that
    "step_recorded",
    "audit_written",  # the audit has an outcome that the message does not have yet
    "cases_settled",  # the cases are written; the messages are not
    "settled",  # the outcome is written; a processed message is in both collections
    "message_removed",
    "effect_delivered",  # LaaS or the alert outbox has it; it is still pending in the message
)
CONSUMER_CRASH_POINTS: Final = (
    "records_accepted",  # Kafka's records are in the inbox; their offsets are not committed
    "offsets_committed",
)
"""Further places of a process that consumes from Kafka."""
PRODUCER_CRASH_POINTS: Final = (
    "record_published",  # Kafka has the record; it is still pending in the message
)
"""Further places of a process that publishes to Kafka."""

_armed: Final = os.environ.get("CASEBRIDGE_CRASH_POINT")
_kind: Final = os.environ.get("CASEBRIDGE_CRASH_KIND", "kill")
_passes: Final = itertools.count(-int(os.environ.get("CASEBRIDGE_CRASH_AFTER", "0")))


class SimulatedCrashError(Exception):
    """Raised at the armed place, as an example of a defect."""


def crash_point(name: str) -> None:
    """Kill the process, or raise `SimulatedCrashError`, if `name` is armed."""
    if _armed is None or _armed != name or next(_passes) != 0:
        return
    if _kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise SimulatedCrashError(name)
