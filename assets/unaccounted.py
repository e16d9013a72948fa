"""Cases that nothing drives any more: the proof that nothing is lost.

A case is accounted for when it is registered or withdrawn, when a live message carries it, when it waits for its answer (the
poll looks for dispatched cases), or when it is set aside with its dead message there to be replayed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from casebridge.exams.cases import Case, CaseState
from casebridge.messaging.message import UNFINISHED, MessageStatus
from resources.bridge import Bridge

ALIVE = tuple(status.value for status in (*UNFINISHED, MessageStatus.DEAD))


@dataclass(frozen=True)
class Account:
    """All cases ever opened, and the correlation ids of those that nothing drives."""

    cases: int
    unaccounted: tuple[str, ...]


def account(bridge: Bridge) -> Account:
    """Looks twice, because a case and its message move on between two reads: only what is amiss both times is lost.

    Cases younger than a lease are left out: a source writes the case first and its message right after.
    """
    settled_before = bridge.clock.now() - timedelta(seconds=bridge.settings.queue.lease_seconds)
    undriven = bridge.database.cases.find(
        {"state": CaseState.REQUESTED.value, "openedAt": {"$lt": settled_before}}, {"_id": 1}
    )
    suspects = _without_message(bridge, [document["_id"] for document in undriven])
    cases = [case for case in bridge.cases.by_ids(suspects) if case.state is CaseState.REQUESTED]
    still = set(_without_message(bridge, [case.id for case in cases]))
    lost = [case for case in cases if case.id in still]
    return Account(
        cases=sum(count["cases"] for count in bridge.cases.counts()),
        unaccounted=_correlation_ids(lost),
    )


def _without_message(bridge: Bridge, case_ids: Iterable[str]) -> list[str]:
    wanted = list(case_ids)
    if not wanted:
        return []
    carried = bridge.database.messages.find(
        {"orderingKey": {"$in": wanted}, "status": {"$in": list(ALIVE)}}, {"orderingKey": 1}
    )
    present = {document["orderingKey"] for document in carried}
    return [key for key in wanted if key not in present]


def _correlation_ids(cases: Iterable[Case]) -> tuple[str, ...]:
    return tuple(sorted(case.correlation_id for case in cases))
