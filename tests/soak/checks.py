"""What is counted at the end: what was lost, what was done twice, in which order, and whether the audit tells of all of it.

What happened to FS, WISEflow, LaaS and Slack is counted by their simulators. What casebridge says of itself, in its queue and its
audit, is held against that, and against each other. Each count is made of names: of cases by their number in the simulators, of
messages and audit entries by their keys.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from casebridge.messaging.queue.message import MessageStatus
from tests.soak.told_differences import ToldDifferences
from tests.support.read_only_steps import ReadOnlySteps, step_entry
from tests.support.world import World

TELLING_LINES: Final = 3
"""Of an alert's text: cause and next action. The cases are in the last line."""
NAMED: Final = re.compile(r"^Cases: (.*?)(?: and \d+ more|; \d+ more .*)? \(`casebridge where", re.M)
REGISTERED: Final = "registered"
MESSAGE_FIELDS: Final = dict.fromkeys(("steps", "errors", "status", "correlationId", "settledFence", "finishedAt"), 1)
Parts = dict[str, list[str]]
"""What a count is made of: for each kind of thing the names of those that it counts."""


@dataclass(frozen=True)
class Checks:
    """The counts; `why` has what each is made of."""

    messages: int
    lost: int
    twice: int
    out_of_order: int
    audit_gaps: int
    wrong_text: int
    untold: int
    redelivered: int
    why: dict[str, Parts] = field(default_factory=dict)


def balance(world: World, planted: Collection[str] = ()) -> Checks:
    """Count everything. Nothing may be at work any more. `planted` are messages that somebody else put into the queue."""
    rows = world.control.cases()
    differences = ToldDifferences(world, rows)
    why: dict[str, Parts] = {
        "lost": _lost(world, rows, differences, planted),
        "twice": _twice(world, rows),
        "out_of_order": {name: _mistaken(rows, name) for name in ("registered_too_early", "registered_out_of_order")},
        "audit_gaps": _audit_gaps(world, rows, differences, planted),
        "wrong_text": {"registrations of a text that nobody wrote for the student": _mistaken(rows, "wrong_text")},
        "untold": differences.untold(planted),
        "redelivered": _redelivered(world),
    }
    counts = {name: sum(map(len, parts.values())) for name, parts in why.items()}
    return Checks(world.database.received_keys.count_documents({}), **counts, why=why)


def _mistaken(rows: Iterable[dict[str, Any]], name: str) -> list[str]:
    return [_case(row) for row in rows for _ in range(row["mistakes"].get(name, 0))]


def _case(row: dict[str, Any]) -> str:
    return f"case {row['caseId']}"


def _unnamed(count: int) -> list[str]:
    """Things of which only the number is known."""
    return ["nameless"] * max(0, count)


def _lost(world: World, rows: list[dict[str, Any]], differences: ToldDifferences, planted: Collection[str]) -> Parts:
    """What FS, the operators or the index never got, and messages that are not where messages end."""
    database = world.database
    accepted = {row["_id"] for row in database.received_keys.find({}, {"_id": 1})}
    processed = {row["_id"] for row in database.processed_messages.find({}, {"_id": 1})}
    told = {one["document"]["id"] for one in world.control.laas_documents() if one["document"]["success"]}
    left = {str(row["_id"]) for row in database.messages.find({}, {"_id": 1})}
    aside = {key for key in left if differences.is_rightly_aside(key)}
    expected = [row for row in rows if row["expected"] == REGISTERED]
    return {
        "requests without explanation in FS": [
            _case(row) for row in expected if not row["textIsRight"] and row["state"] != REGISTERED
        ],
        "newer answers that FS lacks": _mistaken(rows, "stale_text"),
        "requests without case": [
            _case(row) for row in expected if row["state"] != "held" and differences.document(row) is None
        ],
        "accepted and not processed": sorted(accepted - processed - aside),
        "left in the queue": sorted(left - aside - set(planted)),
        "outcomes that the index lacks": _unnamed(len(processed) - len(told)),
        "alerts never sent": [
            str(row["_id"]) for row in database.alerts.find({"state": {"$nin": ["sent", "muted"]}}, {"_id": 1})
        ],
    }


def _twice(world: World, rows: list[dict[str, Any]]) -> Parts:
    """Effects at FS and WISEflow beyond those that the world asked for."""
    summary = world.control.summary()
    return {
        "registrations in FS": _mistaken(rows, "registered_twice"),
        "requests for somebody whose case it is not": _unnamed(summary["dispatched_to_wrong_participant"]),
        "e-mails beyond one for each answer shown": _unnamed(summary["emails"] - summary["shown"]),
    }


def _audit_gaps(
    world: World, rows: list[dict[str, Any]], differences: ToldDifferences, planted: Collection[str]
) -> Parts:
    """Each step has its entry and each entry its step; each failure its entry; each registration in FS is told of."""
    messages = [
        message
        for collection in (world.database.messages, world.database.processed_messages)
        for message in collection.find({}, MESSAGE_FIELDS)
        if str(message["_id"]) not in planted
    ]
    entries = [
        entry
        for entry in world.database.audit_log.find({"step": {"$nin": ["replayed", "poll", "compare"]}})
        if _key(entry) not in planted
    ]
    read_only = ReadOnlySteps(messages, entries)
    done: set[str] = set()
    aside: set[str] = set()
    failures: Counter[tuple[str, str]] = Counter()
    for message in messages:
        if message["status"] == MessageStatus.PROCESSED.value:
            done |= {step_entry(message, "received", 0)}
            done |= {step_entry(message, name, step["fence"]) for name, step in message["steps"].items()}
        else:
            # what it found before it was set aside is told, and is not kept in the message
            aside.add(message["_id"])
        for error in message["errors"]:
            failures[message["_id"], error["step"]] += 1
    told: set[str] = set()
    unasked: set[str] = set()
    told_failures: Counter[tuple[str, str]] = Counter()
    registrations: Counter[str] = Counter()
    for entry in entries:
        message_key = _key(entry)
        if not entry["success"]:
            told_failures[message_key, entry["step"]] += 1
        else:
            told.add(entry["_id"])
            if message_key not in aside and not read_only.is_of_another_attempt(entry):
                unasked.add(entry["_id"])
        registrations[entry["correlationId"]] += entry["detail"].get("outcome") == REGISTERED
    in_fs = {
        correlation_id: row["registrations"] for row in rows if (correlation_id := differences.correlation_id(row))
    }
    # A row that was opened between a registration whose worker was lost and its repetition counts both; the step is one.
    again = Counter(differences.correlation_id(row) for row in rows if "reopened" in row["dataFaults"])
    return {
        "steps without entry": sorted((done | read_only.of_failures()) - told),
        "entries without step": sorted(unasked - done),
        "failures without entry": [":".join(failure) for failure in (failures - told_failures).elements()],
        "registrations in FS without entry": list((Counter(in_fs) - registrations - again).elements()),
        "registrations told of that FS lacks": list((registrations - Counter(in_fs)).elements()),
    }


def _key(entry: dict[str, Any]) -> str:
    """The key of the message that an entry tells of; entries that tell of none have none."""
    return str(entry["_id"].split(":")[1]) if entry["_id"].count(":") > 1 else ""


def _told(text: str) -> Iterator[str]:
    """What a message tells, once for each case that it names: a cause is told again of cases that came later."""
    cause = "\n".join(text.splitlines()[:TELLING_LINES])
    named = NAMED.search(text)
    for case in named[1].split(", ") if named else [""]:
        yield f"{cause}\n{case}"


def _redelivered(world: World) -> Parts:
    documents = Counter(str(one["document"]["id"]) for one in world.control.laas_documents())
    alerts = Counter(told for one in world.control.slack_messages() for told in _told(one["message"]["text"]))
    return {
        "LaaS": list((documents - Counter(dict.fromkeys(documents, 1))).elements()),
        "Slack": list((alerts - Counter(dict.fromkeys(alerts, 1))).elements()),
    }
