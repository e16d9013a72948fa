"""The books at the end: what was lost, what was done twice, in which order, and whether the audit tells of all of it.

What happened to FS, WISEflow, LaaS and Slack is counted by their simulators. What casebridge says of itself, in its queue and its
audit, is held against that, and against each other.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from casebridge.messaging.account import entry_id
from casebridge.messaging.message import MessageStatus
from tests.world import World

TELLING_LINES: Final = 3
"""Of an alert's text: cause and next action. The cases in the last line may have become more when it is told again."""


@dataclass(frozen=True)
class Books:
    """The counts; `why` has what each is made of."""

    messages: int
    lost: int
    twice: int
    out_of_order: int
    audit_gaps: int
    redelivered: int
    why: dict[str, dict[str, int]] = field(default_factory=dict)


def balance(world: World) -> Books:
    """Count everything. Nothing may be at work any more."""
    summary = world.control.summary()
    accepted = world.database.received_keys.count_documents({})
    parts = {
        "lost": _lost(world, summary),
        "twice": _twice(summary),
        "out_of_order": {name: summary[name] for name in ("registered_too_early", "registered_out_of_order")},
        "audit_gaps": _audit_gaps(world),
        "redelivered": _redelivered(world),
    }
    counts = {name: sum(counted.values()) for name, counted in parts.items()}
    return Books(accepted, **counts, why=parts)


def _lost(world: World, summary: dict[str, Any]) -> dict[str, int]:
    """What FS, the operators or the index never got, and messages that are not where messages end."""
    database = world.database
    accepted = {row["_id"] for row in database.received_keys.find({}, {"_id": 1})}
    processed = {row["_id"] for row in database.processed_messages.find({}, {"_id": 1})}
    told = {one["document"]["id"] for one in world.control.laas_documents() if one["document"]["success"]}
    return {
        "requests without explanation in FS": summary["outstanding"] + summary["held"],
        "newer answers that FS lacks": summary["stale_text"],
        "requests without case": max(0, summary["requests"] - database.cases.count_documents({})),
        "accepted and not processed": len(accepted - processed),
        "left in the queue": database.messages.count_documents({}),
        "outcomes that the index lacks": max(0, len(processed) - len(told)),
        "alerts never sent": database.alerts.count_documents({"state": {"$nin": ["sent", "muted"]}}),
    }


def _twice(summary: dict[str, Any]) -> dict[str, int]:
    """Effects at FS and WISEflow beyond those that the world asked for."""
    return {
        "registrations in FS": summary["registered_twice"],
        "registrations of a text that nobody wrote for the student": summary["wrong_text"],
        "requests for somebody whose case it is not": summary["dispatched_to_wrong_participant"],
        "e-mails beyond one for each answer shown": max(0, summary["emails"] - summary["shown"]),
    }


def _audit_gaps(world: World) -> dict[str, int]:
    """Each step has its entry and each entry its step; each failure its entry; each registration in FS is told of."""
    done: set[str] = set()
    failures: Counter[tuple[str, str]] = Counter()
    for collection in (world.database.messages, world.database.processed_messages):
        for message in collection.find({}, {"steps": 1, "errors": 1, "status": 1, "correlationId": 1}):
            steps = message["steps"] if message["status"] == MessageStatus.PROCESSED.value else {}
            done |= {entry_id(message["correlationId"], message["_id"], name) for name in ("received", *steps)}
            for error in message["errors"]:
                failures[message["_id"], error["step"]] += 1
    told: set[str] = set()
    told_failures: Counter[tuple[str, str]] = Counter()
    registrations: Counter[str] = Counter()
    for entry in world.database.audit_log.find({"step": {"$nin": ["replayed", "poll"]}}):
        if entry["success"]:
            told.add(entry["_id"])
            registrations[entry["correlationId"]] += entry["detail"].get("outcome") == "registered"
        else:
            told_failures[entry["_id"].split(":")[1], entry["step"]] += 1
    return {
        "steps without entry": len(done - told),
        "entries without step": len(told - done),
        "failures without entry": sum((failures - told_failures).values()),
        "registrations in FS without entry": max(
            0, world.control.summary()["registrations"] - sum(registrations.values())
        ),
        "registrations told of that FS lacks": max(
            0, sum(registrations.values()) - world.control.summary()["registrations"]
        ),
    }


def _redelivered(world: World) -> dict[str, int]:
    documents = [one["document"]["id"] for one in world.control.laas_documents()]
    alerts = ["\n".join(one["message"]["text"].splitlines()[:TELLING_LINES]) for one in world.control.slack_messages()]
    return {"LaaS": len(documents) - len(set(documents)), "Slack": len(alerts) - len(set(alerts))}
