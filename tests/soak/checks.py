"""The counts at the end: what was lost, what was done twice, what came in the wrong order, and what the audit lacks.

The simulators count what happened to FS, WISEflow, LaaS and Slack. The queue and the audit log of casebridge are compared with
these counts, and with each other. Each count is a list of names: cases by their number in the simulators, messages and audit
entries by their keys.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from casebridge.messaging.queue.message import MessageStatus
from tests.soak.reporting import Reporting
from tests.support.read_only_steps import ReadOnlySteps, step_entry
from tests.support.world import World

CAUSE_LINES: Final = 3
"""Lines of an alert with its cause and next action. The cases are in the last line."""
NAMED: Final = re.compile(r"^Cases: (.*?)(?: and \d+ more|; \d+ more .*)? \(`casebridge where", re.M)
REGISTERED: Final = "registered"
MESSAGE_FIELDS: Final = dict.fromkeys(
    ("steps", "errors", "status", "correlationId", "settledFence", "startedAt", "finishedAt", "takenOver"), 1
)
Parts = dict[str, list[str]]
"""The findings of a count: for each kind of finding the names."""


@dataclass(frozen=True)
class Checks:
    """The counts. `why` has the findings of each."""

    messages: int
    lost: int
    twice: int
    out_of_order: int
    audit_gaps: int
    wrong_text: int
    untold: int
    redelivered: int
    why: dict[str, Parts] = field(default_factory=dict)


def count_all(world: World, foreign: Collection[str] = ()) -> Checks:
    """Count everything, when no process works any more. `foreign` are the keys of documents that no release wrote."""
    rows = world.control.cases()
    reporting = Reporting(world, rows)
    why: dict[str, Parts] = {
        "lost": _lost(world, rows, reporting, foreign),
        "twice": _twice(world, rows),
        "out_of_order": {name: _mistakes(rows, name) for name in ("registered_too_early", "registered_out_of_order")},
        "audit_gaps": _audit_gaps(world, rows, reporting, foreign),
        "wrong_text": {"registrations of a text that nobody wrote for the student": _mistakes(rows, "wrong_text")},
        "untold": reporting.untold(foreign),
        "redelivered": _redelivered(world),
    }
    counts = {name: sum(map(len, parts.values())) for name, parts in why.items()}
    return Checks(world.database.received_keys.count_documents({}), **counts, why=why)


def _mistakes(rows: Iterable[dict[str, Any]], name: str) -> list[str]:
    return [_case(row) for row in rows for _ in range(row["mistakes"].get(name, 0))]


def _case(row: dict[str, Any]) -> str:
    return f"case {row['caseId']}"


def _unnamed(count: int) -> list[str]:
    """Findings of which only the number is known."""
    return ["nameless"] * max(0, count)


def _lost(world: World, rows: list[dict[str, Any]], reporting: Reporting, foreign: Collection[str]) -> Parts:
    """What FS, the operators or the log index never got, and messages that did not reach an end."""
    database = world.database
    accepted = {row["_id"] for row in database.received_keys.find({}, {"_id": 1})}
    processed = {row["_id"] for row in database.processed_messages.find({}, {"_id": 1})}
    indexed = {one["document"]["id"] for one in world.control.laas_documents() if one["document"]["success"]}
    left = {str(row["_id"]) for row in database.messages.find({}, {"_id": 1})}
    aside = {key for key in left if reporting.is_set_aside_by_decision(key)}
    expected = [row for row in rows if row["expected"] == REGISTERED]
    return {
        "requests without explanation in FS": [
            _case(row) for row in expected if not row["textIsRight"] and row["state"] != REGISTERED
        ],
        "newer answers that FS lacks": _mistakes(rows, "stale_text"),
        "requests without case": [
            _case(row) for row in expected if row["state"] != "held" and reporting.document(row) is None
        ],
        "accepted and not processed": sorted(accepted - processed - aside),
        "left in the queue": sorted(left - aside - set(foreign)),
        "outcomes that the index lacks": _unnamed(len(processed) - len(indexed)),
        "alerts never sent": [
            str(row["_id"]) for row in database.alerts.find({"state": {"$nin": ["sent", "muted"]}}, {"_id": 1})
        ],
    }


def _twice(world: World, rows: list[dict[str, Any]]) -> Parts:
    """Effects at FS and WISEflow beyond those that were asked for."""
    summary = world.control.summary()
    return {
        "registrations in FS": _mistakes(rows, "registered_twice"),
        "requests for somebody whose case it is not": _unnamed(summary["dispatched_to_wrong_participant"]),
        "e-mails beyond one for each answer shown": _unnamed(summary["emails"] - summary["shown"]),
    }


def _audit_gaps(world: World, rows: list[dict[str, Any]], reporting: Reporting, foreign: Collection[str]) -> Parts:
    """Each step has its entry and each entry its step. Each failure and each registration in FS has its entry."""
    messages = [
        message
        for collection in (world.database.messages, world.database.processed_messages)
        for message in collection.find({}, MESSAGE_FIELDS)
        if str(message["_id"]) not in foreign
    ]
    entries = [
        entry
        for entry in world.database.audit_log.find({"step": {"$nin": ["replayed", "poll", "compare"]}})
        if _key(entry) not in foreign
    ]
    read_only = ReadOnlySteps(messages, entries)
    done: set[str] = set()
    aside: set[str] = set()
    by_key = {str(message["_id"]): message for message in messages}
    failures: Counter[tuple[str, str]] = Counter()
    for message in messages:
        if message["status"] == MessageStatus.PROCESSED.value:
            done |= {step_entry(message, "received", 0)}
            done |= {step_entry(message, name, step["fence"]) for name, step in message["steps"].items()}
        else:
            # its audit has the steps before it was set aside, and the message does not
            aside.add(message["_id"])
        for error in message["errors"]:
            failures[message["_id"], error["step"]] += 1
    recorded: set[str] = set()
    of_settled_attempt: set[str] = set()
    recorded_failures: Counter[tuple[str, str]] = Counter()
    registrations: Counter[str] = Counter()
    for entry in entries:
        message_key = _key(entry)
        if not entry["success"]:
            recorded_failures[message_key, entry["step"]] += 1
        else:
            recorded.add(entry["_id"])
            of_other = read_only.is_of_another_attempt(entry) or _is_of_a_lost_claim(entry, by_key.get(message_key))
            if message_key not in aside and not of_other:
                of_settled_attempt.add(entry["_id"])
        registrations[entry["correlationId"]] += entry["detail"].get("outcome") == REGISTERED
    in_fs = {correlation_id: row["registrations"] for row in rows if (correlation_id := reporting.correlation_id(row))}
    # A row may be opened again between a registration whose worker was lost and its repetition: two in FS, one step.
    again = Counter(reporting.correlation_id(row) for row in rows if "reopened" in row["dataFaults"])
    return {
        "steps without entry": sorted((done | read_only.of_failures()) - recorded),
        "entries without step": sorted(of_settled_attempt - done),
        "failures without entry": [":".join(failure) for failure in (failures - recorded_failures).elements()],
        "registrations in FS without entry": list((Counter(in_fs) - registrations - again).elements()),
        "entries of registrations that FS lacks": list((registrations - Counter(in_fs)).elements()),
    }


def _is_of_a_lost_claim(entry: dict[str, Any], message: dict[str, Any] | None) -> bool:
    """Whether a worker made the step and wrote its entry, and was lost before it could settle the message.

    The next worker makes the step again, except if the message ends before that step, because a newer one has replaced it.
    """
    return (
        message is not None
        and bool(message.get("takenOver"))
        and any(step.get("last") for step in message["steps"].values())
        and entry["step"] not in message["steps"]
        and bool(entry["time"] < message["startedAt"])
    )


def _key(entry: dict[str, Any]) -> str:
    """The key of the message of an entry, or an empty text if it belongs to no message."""
    return str(entry["_id"].split(":")[1]) if entry["_id"].count(":") > 1 else ""


def _alerts_in(text: str) -> Iterator[str]:
    """The alert of a Slack message, once for each case that it names. A cause is reported again for later cases."""
    cause = "\n".join(text.splitlines()[:CAUSE_LINES])
    named = NAMED.search(text)
    for case in named[1].split(", ") if named else [""]:
        yield f"{cause}\n{case}"


def _redelivered(world: World) -> Parts:
    documents = Counter(str(one["document"]["id"]) for one in world.control.laas_documents())
    alerts = Counter(alert for one in world.control.slack_messages() for alert in _alerts_in(one["message"]["text"]))
    return {
        "LaaS": list((documents - Counter(dict.fromkeys(documents, 1))).elements()),
        "Slack": list((alerts - Counter(dict.fromkeys(alerts, 1))).elements()),
    }
