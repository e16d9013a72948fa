"""The case of a message that is in work: read once for all messages of a claim, instead of once in each.

It stays true until the steps run. What the flows ask of a case is changed by messages of the same case, and of those one at a
time is claimed; only a withdrawal may come in between, as it may a moment after any look.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.message import Message, is_text

CASE: Final = "case"


def read(messages: Sequence[Message], cases: Cases) -> None:
    """Lay the cases of claimed messages at hand, with one question for all of them."""
    keys = {key for message in messages if is_text(key := message.payload.get("caseId"))}
    found = {case.id: case for case in cases.by_ids(keys)} if keys else {}
    for message in messages:
        if is_text(key := message.payload.get("caseId")) and (case := found.get(key)):
            message.prefetched[CASE] = case


def of(message: Message, case_id: str, cases: Cases) -> Case | None:
    """The case as it was when the message was claimed; looked up if it was not read then. `None`: there is none."""
    case: Case | None = message.prefetched.get(CASE)
    if case is None and (case := cases.get(case_id)):
        message.prefetched[CASE] = case
    return case
