"""Finds cases that nothing carries any more. It proves that nothing is lost.

A case is not lost if one of these is true:

- It is no longer open.
- A live message carries it.
- It waits for its answer, and a poll looks for the answer (an open state outside `Lifecycle.needs_message`).
- It is set aside, and its dead message can be replayed.
- An operator has discarded it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from casebridge.cases.operator_cases import OperatorCases
from casebridge.clock import Clock
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators import stored_fields

NAMED: Final = 50
"""At most so many lost cases are named. All are counted."""
# A discarded message stays for a while, and can be replayed. After that, the mark in its case is left.
PRESENT: Final = (*UNFINISHED, MessageStatus.DEAD, MessageStatus.DISCARDED)


@dataclass(frozen=True)
class Account:
    """`cases` is the number of all cases ever opened, `lost` the number of lost ones. `unaccounted` names the first of these."""

    cases: int
    lost: int
    unaccounted: tuple[str, ...]


class CompletenessCheck:
    """Reads the cases twice, because a case and its message may change between two reads. A case is lost if both reads say so.

    Cases younger than `settling` are left out: a source writes the case first, and its message right after.
    """

    def __init__(
        self, cases: Sequence[OperatorCases], messages: StoredMessages, clock: Clock, settling: timedelta
    ) -> None:
        """`cases` has the cases of each capability."""
        self._cases = cases
        self._messages = messages
        self._clock = clock
        self._settling = settling

    def account(self) -> Account:
        lost: list[str] = []
        count = 0
        for store in self._cases:
            for keys in store.needing_message(self._clock.now() - self._settling):
                correlation_ids = store.still_needing_message(self._without_message(keys))
                without = self._without_message(list(correlation_ids))
                count += len(without)
                lost += [correlation_ids[key] for key in without[: NAMED - len(lost)]]
        return Account(sum(store.count() for store in self._cases), count, tuple(sorted(lost)))

    def _without_message(self, keys: Sequence[str]) -> list[str]:
        if not keys:
            return []
        present = {stored_fields.text(document, "orderingKey") for document in self._messages.carrying(keys, PRESENT)}
        return [key for key in keys if key not in present]
