"""Cases that nothing drives any more: the proof that nothing is lost.

A case is accounted for in each of these cases:

- it is no longer open;
- a live message carries it;
- it waits for its answer, and a poll looks for that (an open state outside `Lifecycle.needs_message`);
- it is set aside, and its dead message is there to be replayed;
- an operator has discarded it.
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
"""Lost cases that are named; all are counted."""
# A discarded message stays for a while in which it can be brought back; after that its case's mark stands for it.
PRESENT: Final = (*UNFINISHED, MessageStatus.DEAD, MessageStatus.DISCARDED)


@dataclass(frozen=True)
class Account:
    """All cases ever opened, and those that nothing drives: `lost` counts all, `unaccounted` names the first of them."""

    cases: int
    lost: int
    unaccounted: tuple[str, ...]


class CompletenessCheck:
    """Looks twice, because a case and its message move on between two reads: only what is amiss both times is lost.

    Cases younger than `settling` are left out: a source writes the case first and its message right after.
    """

    def __init__(
        self, cases: Sequence[OperatorCases], messages: StoredMessages, clock: Clock, settling: timedelta
    ) -> None:
        """`cases` are those of each capability."""
        self._cases = cases
        self._messages = messages
        self._clock = clock
        self._settling = settling

    def account(self) -> Account:
        lost: list[str] = []
        count = 0
        for store in self._cases:
            for keys in store.needing_message(self._clock.now() - self._settling):
                numbers = store.still_needing_message(self._without_message(keys))
                without = self._without_message(list(numbers))
                count += len(without)
                lost += [numbers[key] for key in without[: NAMED - len(lost)]]
        return Account(sum(store.count() for store in self._cases), count, tuple(sorted(lost)))

    def _without_message(self, keys: Sequence[str]) -> list[str]:
        if not keys:
            return []
        present = {stored_fields.text(document, "orderingKey") for document in self._messages.carrying(keys, PRESENT)}
        return [key for key in keys if key not in present]
