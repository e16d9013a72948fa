"""Dead letters that a test writes or finds, and the orders and filters that an operator uses for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process

REASON = "corrected in WISEflow"
FOR_REAL = Order(dry_run=False, reason=REASON, asked_by="kari")
DISCARDED = DeadLetterFilter(MessageStatus.DISCARDED)
MISSING = "wiseflow.participant_missing"
AMBIGUOUS = "wiseflow.flow_ambiguous"
T0 = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)

Document = dict[str, Any]


def dead(number: int, *codes: str, **changed: Any) -> Document:
    """A dead message with an error for each code. The last error happened `number` minutes after `T0`."""
    errors = [
        {
            "at": T0 + timedelta(minutes=number - len(codes) + place),
            "attempt": place,
            "step": "find_candidate",
            "category": "transient",
            "code": code,
            "cause": "It failed.",
            "nextAction": "Look at it.",
        }
        for place, code in enumerate(codes, 1)
    ]
    return {
        "_id": f"key-{number:05}",
        "queue": "wiseflow-begrunnelse",
        "status": "dead",
        "orgId": "uis.no",
        "env": "test",
        "institution": "uis.no/test",
        "examSystem": "WISEFLOW",
        "orderingKey": f"case-{number}",
        "correlationId": f"correlation-{number}",
        "payload": {"kandidatnr": 4711},
        "enqueuedAt": T0 + timedelta(minutes=number),
        "attempts": len(codes),
        "generation": 1,
        "fence": 1,
        "steps": {},
        "errors": errors,
        "effects": [],
        **changed,
    }


def letter_of(process: Process, code: str) -> Document:
    (message,) = process.stores.database.messages.find({"errors.code": code})
    return message


def case_of(process: Process, message: Document) -> Document:
    case = process.stores.database.cases.find_one({"_id": message["orderingKey"]})
    assert case is not None
    return case
