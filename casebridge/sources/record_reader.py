"""The interface of record readers. Each capability has one reader for each topic, which says what the records mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from casebridge.errors import CaseError
from casebridge.messaging.queue.message import UNKNOWN, NewMessage
from casebridge.sources.record import Record


@dataclass(frozen=True)
class Reading:
    """The result of reading one record: a message, an error, or neither if there is nothing to do.

    For an error, `org_id` and `env` say whose the record is, if that could be read.
    """

    record: Record
    message: NewMessage | None = None
    error: CaseError | None = None
    org_id: str = UNKNOWN
    env: str = UNKNOWN


class RecordReader(Protocol):
    """Reads the records of one topic. It uses only our own database and no other system, so a batch never waits."""

    def read(self, records: Sequence[Record]) -> Sequence[Reading]:
        """One reading for each record, in their order. Raises only errors of the database's driver, or a defect."""
        ...
