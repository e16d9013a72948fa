"""Cases that nothing drives any more: the proof that nothing is lost.

A case is accounted for when it is registered or withdrawn, when a live message carries it, when it waits for its answer (the
poll looks for dispatched cases), when it is set aside with its dead message there to be replayed, or when an operator has
discarded it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final

from casebridge.cases.case import DISCARDED
from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus
from casebridge.operators import stored_fields

AT_ONCE: Final = 1000
NAMED: Final = 50
"""Lost cases that are named; all are counted."""
# A discarded message stays for a while in which it can be brought back; after that its case's mark stands for it.
PRESENT = tuple(status.value for status in (*UNFINISHED, MessageStatus.DEAD, MessageStatus.DISCARDED))


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

    def __init__(self, database: Database, cases: Cases, clock: Clock, settling: timedelta) -> None:
        self._cases_collection = database.cases
        self._messages = database.messages
        self._cases = cases
        self._clock = clock
        self._settling = settling

    def account(self) -> Account:
        lost = 0
        named: list[str] = []
        for requested in self._requested():
            suspects = self._without_message(requested)
            still_requested = {
                case.id: case for case in self._cases.by_ids(suspects) if case.state is CaseState.REQUESTED
            }
            undriven = self._without_message(list(still_requested))
            lost += len(undriven)
            named += [
                stored_fields.text(still_requested[key].document, "correlationId")
                for key in undriven[: NAMED - len(named)]
            ]
        return Account(self._cases.count(), lost, tuple(sorted(named)))

    def _requested(self) -> Iterator[list[str]]:
        """In parts, so that neither a query nor this process holds them all."""
        selection = {
            "state": CaseState.REQUESTED.value,
            "openedAt": {"$lt": self._clock.now() - self._settling},
            "setAside": {"$ne": DISCARDED},
        }
        found = iter(self._cases_collection.find(selection, {"_id": 1}, batch_size=AT_ONCE))
        while part := [document["_id"] for document in islice(found, AT_ONCE)]:
            yield [key for key in part if isinstance(key, str)]

    def _without_message(self, case_ids: Sequence[str]) -> list[str]:
        if not case_ids:
            return []
        carried = self._messages.find(
            {"orderingKey": {"$in": list(case_ids)}, "status": {"$in": list(PRESENT)}}, {"_id": 0, "orderingKey": 1}
        )
        present = {stored_fields.text(document, "orderingKey") for document in carried}
        return [key for key in case_ids if key not in present]
