"""Reads the cases of all messages of a claim with one query, instead of one query for each message.

The case is still up to date when the steps run. Only messages of the same case change the fields that the flows read, and only
one of these is claimed at a time. A withdrawal may come in between, but that can happen after any read.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.message import Message, is_text

CASE: Final = "case"


def read(messages: Sequence[Message], cases: Cases) -> None:
    """Prefetch the cases of claimed messages, with one query for all of them."""
    keys = {key for message in messages if is_text(key := message.payload.get("caseId"))}
    found = {case.id: case for case in cases.by_ids(keys)} if keys else {}
    for message in messages:
        if is_text(key := message.payload.get("caseId")) and (case := found.get(key)):
            message.prefetched[CASE] = case


def of(message: Message, case_id: str, cases: Cases) -> Case | None:
    """The case as it was when the message was claimed. If it was not prefetched, it is read now. `None` if there is none."""
    case: Case | None = message.prefetched.get(CASE)
    if case is None and (case := cases.get(case_id)):
        message.prefetched[CASE] = case
    return case
