"""Rows: the cost of a message when many messages are stored, and when few are, measured alternately on the same server.

The stored documents are finished messages with their keys, audit entries and cases. They are copies of the documents of one real
message, with other ids and times.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bench.context import BenchContext
from bench.installation import Installation
from bench.no_op_flow import INSTITUTIONS
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from casebridge.correlation_id import new_correlation_id
from casebridge.database import Document
from casebridge.exams.explanations.case_indexes import INDEXES
from casebridge.messaging import audit_entries

PROGRAM: Final = "bench.no_op_queue"
BATCH: Final = 100
AT_ONCE: Final = 2000
REPORT_EVERY: Final = 100_000
ROUNDS: Final = 5
OVER: Final = timedelta(days=365)
GOAL: Final = Goal("ratio", "<=", 1.1)


@dataclass(frozen=True)
class Cost:
    """The cost of one message: elapsed milliseconds, and processor milliseconds of casebridge and database server together."""

    elapsed: float
    processor: float


def measure(context: BenchContext) -> Iterator[Row]:
    sizes = context.sizes
    rounds = ROUNDS if sizes.rounds > 1 else 1
    costs: dict[int, list[Cost]] = {stored: [] for stored in sizes.stored}
    shares: dict[int, list[Shares]] = {stored: [] for stored in sizes.stored}
    with ExitStack() as open_installations:
        installations = {}
        for stored in sizes.stored:
            context.report_progress(f"growth: storing {stored:,} messages")
            installations[stored] = open_installations.enter_context(context.server.installation())
            Store(installations[stored], context.report_progress).fill(stored)
        for turn in range(rounds):
            context.report_progress(f"growth, round {turn + 1} of {rounds}")
            for stored, installation in installations.items():
                cost, bound = _cost(installation, sizes.growth_messages)
                costs[stored].append(cost)
                shares[stored].append(bound)
    least, *others = sizes.stored
    for stored in others:
        name, beside = f"{stored:,} stored", f"{least:,} stored"
        bound_by, server = str(Shares.median(shares[stored])), context.server.name
        elapsed = _pairs([cost.elapsed for cost in costs[stored]], [cost.elapsed for cost in costs[least]])
        yield row_of(f"growth: time, {name}", "ms/message", elapsed, beside, bound_by, server, GOAL)
        processor = _pairs([cost.processor for cost in costs[stored]], [cost.processor for cost in costs[least]])
        yield row_of(f"growth: processor time, {name}", "ms/message", processor, beside, bound_by, server)


def _pairs(much: Sequence[float], little: Sequence[float]) -> list[Pair]:
    return [Pair(one, other) for one, other in zip(much, little, strict=True)]


def _cost(installation: Installation, count: int) -> tuple[Cost, Shares]:
    """Enqueue and process `count` messages; return the cost of one, and the shares."""
    seconds, parts = 0.0, []
    for order in ({"action": "enqueue", "batch": BATCH}, {"action": "work"}):
        figures = installation.run(PROGRAM, count=count, **order)
        seconds += figures["seconds"]
        parts.append((Shares.from_json(figures["shares"]), figures["seconds"]))
    shares = Shares.mean(parts)
    processor = sum(shares.cores.get(name, 0.0) for name in ("casebridge", *installation.servers)) * seconds
    return Cost(1000 * seconds / count, 1000 * processor / count), shares


class Store:
    """Fills an installation with finished messages."""

    def __init__(self, installation: Installation, report_progress: Callable[[str], None]) -> None:
        self._installation = installation
        self._report_progress = report_progress
        self._database = installation.database

    def fill(self, count: int) -> None:
        """Store so many finished messages. The indexes are built afterwards, which takes half the time."""
        self._finish_one()
        database = self._database
        message, key = database.processed_messages.find_one(), database.received_keys.find_one()
        entries = list(database.audit_log.find())
        if message is None or key is None:
            raise RuntimeError("the first message left no documents")
        for collection in (database.processed_messages, database.received_keys, database.audit_log, database.cases):
            collection.drop_indexes()
        for start in range(0, count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, count))
            stored = [_Stored(number, message["finishedAt"] - OVER * (1 - number / count)) for number in numbers]
            database.processed_messages.insert_many([one.copy_of(message, "finishedAt") for one in stored])
            database.received_keys.insert_many([one.copy_of(key, "firstSeen") for one in stored])
            database.audit_log.insert_many(
                [one.copy_of(entry, "time") | {"_id": one.audit_id(entry)} for one in stored for entry in entries]
            )
            database.cases.insert_many([one.case() for one in stored])
            if start and start % REPORT_EVERY == 0:
                self._report_progress(f"growth: {start:,} of {count:,} stored")
        self._report_progress("growth: building the indexes")
        database.ensure_indexes([(database.cases, INDEXES)])

    def _finish_one(self) -> None:
        """Process one message, so that each collection has a document to copy."""
        for order in ({"action": "enqueue", "batch": 1}, {"action": "work"}):
            self._installation.run(PROGRAM, count=1, **order)


class _Stored:
    """The ids and the time of one finished message."""

    def __init__(self, number: int, moment: datetime) -> None:
        self.key = uuid.uuid4().hex
        self._correlation_id = new_correlation_id(moment)
        self._institution = f"institution{number % INSTITUTIONS}.no"
        self._number = number
        self._moment = moment

    def audit_id(self, entry: Document) -> str:
        return audit_entries.entry_id(self._correlation_id, self.key, entry["step"])

    def copy_of(self, document: Document, time_field: str) -> Document:
        return {
            **document,
            "_id": self.key,
            "correlationId": self._correlation_id,
            time_field: self._moment,
            **({"orderingKey": self.key} if "orderingKey" in document else {}),
        }

    def case(self) -> dict[str, Any]:
        """A finished case, with the fields that are indexed."""
        return {
            "_id": self.key,
            "correlationId": self._correlation_id,
            "orgId": self._institution,
            "env": "bench",
            "institution": f"{self._institution}/bench",
            "vurdId": f"exam{self._number // 10}",
            "kandidatnr": self._number,
            "state": "registered",
            "registeredAt": self._moment,
            "setAside": None,
        }
