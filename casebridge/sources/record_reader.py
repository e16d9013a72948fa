"""What a topic's records mean is a reader's business: one a topic, in the domain. Here is only what every reader promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from casebridge.errors import CaseError
from casebridge.messaging.queue.message import UNKNOWN, NewMessage
from casebridge.sources.record import Record


@dataclass(frozen=True)
class Reading:
    """What one record came to: a message, an error, or neither, when there is nothing to be done.

    `org_id` and `env` say whose it is, as far as could be read, for a record that came to an error.
    """

    record: Record
    message: NewMessage | None = None
    error: CaseError | None = None
    org_id: str = UNKNOWN
    env: str = UNKNOWN


class RecordReader(Protocol):
    """Reads the records of one topic. Asks nobody but our own database, so that a batch is never held up."""

    def read(self, records: Sequence[Record]) -> Sequence[Reading]:
        """One reading a record, in their order. Raises only what the database's driver raises, or a defect."""
        ...
