"""The cost of a message does not depend on how much is stored: an index bounds every query."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pymongo.monitoring
import pytest
from pymongo.errors import OperationFailure

from casebridge.database import Database
from casebridge.settings import MongoDBSettings
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.world import World

GROWING = ("meldingQProcessed", "kafkaMessages", "auditLog", "begrunnelser")
INDEXED = {*GROWING, "meldingQ", "alerts"}
"""The other collections have one document for each institution, lane, pause or listener."""
SEARCH_FOR_LANES = "aggregate meldingQ {}"
"""Read twice a minute, and only in the live queue."""
KEYS_BY_AGE = 'find kafkaMessages {"firstSeen": {"$lt": "\\u2026"}}'
"""One pass a night. An index for it would cost more with each message than it saves."""

DISCARDED_BY_AGE = (
    'find meldingQ {"discardedAt": {"$lt": "\\u2026"}, "effectsDueAt": {"$exists": "\\u2026"}, "status": "\\u2026"}'
)
"""Also one pass a night, and only in the live queue."""


WHOLE = "COLLSCAN"
BY_INDEX = "IXSCAN"
"""Part of the names of stages that read by an index, such as `EXPRESS_IXSCAN`."""


@dataclass(frozen=True)
class Query:
    """A filter that was sent to the server."""

    collection: str
    command: str
    selection: dict[str, Any] = field(hash=False)

    @property
    def shape(self) -> str:
        return f"{self.command} {self.collection} {json.dumps(_shape(self.selection), sort_keys=True)}"


def _shape(value: Any) -> Any:
    """The filter without its values: two claims have the same shape."""
    if isinstance(value, Mapping):
        return {name: _shape(part) for name, part in value.items()}
    return "…"


class Recorder(pymongo.monitoring.CommandListener):
    """Listens to every command of the clients that are made after it. While switched on, it records those for one database."""

    def __init__(self) -> None:
        self.database: str | None = None
        self.queries: dict[str, Query] = {}

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        if event.database_name == self.database:
            for selection in _selections(event.command_name, event.command):
                query = Query(str(event.command[event.command_name]), event.command_name, selection)
                self.queries[query.shape] = query

    def seen(self) -> list[Query]:
        """The queries until now. The threads of a process may send more."""
        return list(self.queries.values())

    def forget(self) -> None:
        self.queries.clear()

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None: ...


def _selections(name: str, command: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if name == "find":
        yield dict(command.get("filter", {}))
    elif name == "update":
        yield from (dict(update["q"]) for update in command["updates"])
    elif name == "delete":
        yield from (dict(delete["q"]) for delete in command["deletes"])
    elif name == "aggregate":
        first = command["pipeline"][0]
        yield dict(first.get("$match", {}))


recorder = Recorder()
pymongo.monitoring.register(recorder)


@pytest.fixture
def queries(mongodb_settings: MongoDBSettings, world: World) -> Iterator[Recorder]:
    """The queries of this test's database from here on, by shape. A process must be built after this."""
    recorder.forget()
    recorder.database = mongodb_settings.oai_database
    yield recorder
    recorder.database = None


def bounded(query: Query, database: Database) -> bool:
    """Whether an index begins with a field that the filter narrows."""
    collection = database.messages.database[query.collection]
    leading = {next(iter(index["key"])) for index in collection.list_indexes()}
    return any(name in leading and not _is_open(value) for name, value in query.selection.items())


def _is_open(value: Any) -> bool:
    """Whether the condition holds for most documents, so that it narrows nothing."""
    return isinstance(value, Mapping) and set(value) <= {"$nin", "$ne", "$exists"}


def scanned(query: Query, database: Database) -> bool | None:
    """Whether the server would read the whole collection. `None` if its answer has no stage that is known.

    Filters on `_id` are not asked: the embedded server explains them in another way than it runs them.
    """
    if "_id" in query.selection:
        return False
    collection = database.messages.database[query.collection]
    try:
        plan = collection.database.command(
            {"explain": {"find": collection.name, "filter": query.selection}, "verbosity": "queryPlanner"}
        )
    except OperationFailure:
        return None
    stages = set(_stages(plan))
    return True if WHOLE in stages else False if any(BY_INDEX in stage for stage in stages) else None


def _stages(plan: Any) -> Iterator[str]:
    """The names of the stages, wherever in its answer a server puts them."""
    if isinstance(plan, Mapping):
        if isinstance(stage := plan.get("stage"), str):
            yield stage
        for part in plan.values():
            yield from _stages(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _stages(part)


def carry_all_kinds(world: World) -> Process:
    """Handle cases that are registered, set aside, replayed, changed in FS and alerted."""
    population = world.populate(institutions=2, courses=2, requests=6, variety=False)
    world.control.add_request(population["institutions"][0]["orgId"], oddity="no_candidate")
    process = world.process()
    world.carry(process)
    process.relay.send_alerts()
    process.register_listener(process.listener())
    return process


def test_every_query_for_a_message_is_bounded_by_an_index(world: World, queries: Recorder) -> None:
    carry_all_kinds(world)
    seen = [query for query in queries.seen() if query.collection in INDEXED]

    assert {query.collection for query in seen} == INDEXED - {"auditLog"}, (
        "the way looks into each, and the audit is only written"
    )
    assert [query.shape for query in seen if not bounded(query, world.database)] == [SEARCH_FOR_LANES]


def test_no_growing_collection_is_read_completely_for_a_message(world: World, queries: Recorder) -> None:
    """The server itself says so."""
    carry_all_kinds(world)
    growing = [query for query in queries.seen() if query.collection in GROWING]

    assert len(growing) >= 6
    assert [query.shape for query in growing if scanned(query, world.database)] == []


def test_the_explanation_of_the_server_is_used(world: World, uses_server: Callable[[str], None]) -> None:
    """Otherwise the test above would always pass. The summary names a server that says nothing."""
    collection = world.database.audit_log.name
    world.database.audit_log.insert_many([{"_id": f"{n}", "correlationId": f"{n}"} for n in range(100)])

    said = (
        scanned(Query(collection, "find", {"detail.reason": "x"}), world.database),
        scanned(Query(collection, "find", {"correlationId": "x"}), world.database),
    )
    if said == (None, None):
        uses_server(f"{world.database.server_name()}, which does not say how it reads: indexes were looked at alone")
    else:
        assert said == (True, False)
    assert not bounded(Query(collection, "find", {"detail.reason": "x"}), world.database)
    assert not bounded(Query(collection, "find", {"time": {"$nin": []}}), world.database)


def test_the_status_reads_no_growing_collection_but_the_cases(world: World, queries: Recorder) -> None:
    process = carry_all_kinds(world)
    queries.forget()

    process.operators.status.read()
    process.operators.status.pending()

    grown = {query.shape: query for query in queries.seen() if query.collection in GROWING}
    undelivered = next((query for shape, query in grown.items() if "undeliveredAt" in shape), None)
    assert undelivered is not None
    assert bounded(undelivered, world.database), "by an index that only what cannot be delivered is in"
    assert not scanned(undelivered, world.database)
    assert grown.keys() - {undelivered.shape} == {"aggregate begrunnelser {}"}, "the count of cases, and nothing else"


def test_open_cases_of_inactive_institutions_are_found_by_an_index(world: World, queries: Recorder) -> None:
    carry_all_kinds(world)
    world.database.orgs.update_many({}, {"$set": {"aktiv": False}})
    queries.forget()

    world.process().capability(Explanations).reader.read_new([])

    growing = [query for query in queries.seen() if query.collection in GROWING]
    assert any(query.collection == "begrunnelser" for query in growing)
    assert [query.shape for query in growing if not bounded(query, world.database)] == []
    assert [query.shape for query in growing if scanned(query, world.database)] == []


def test_reading_one_case_is_bounded(world: World, queries: Recorder) -> None:
    process = carry_all_kinds(world)
    case = world.database.cases.find_one()
    assert case is not None
    queries.forget()

    assert process.operators.histories.by_correlation_id(case["correlationId"])
    assert process.operators.histories.of(
        process.capability(Explanations).cases.by_exam_and_candidate(case["vurdId"], case["kandidatnr"])
    )

    assert queries.seen()
    assert [query.shape for query in queries.seen() if not bounded(query, world.database)] == []


def test_pruning_is_bounded(world: World, queries: Recorder) -> None:
    process = carry_all_kinds(world)
    queries.forget()

    process.operators.retention.prune(dry_run=False, asked_by="a test")

    assert {query.collection for query in queries.seen()} >= {
        "meldingQProcessed",
        "kafkaMessages",
        "auditLog",
        "alerts",
    }
    unbounded = {query.shape for query in queries.seen() if not bounded(query, world.database)}
    assert unbounded == {DISCARDED_BY_AGE, KEYS_BY_AGE}
    growing = [query for query in queries.seen() if query.collection in GROWING and query.shape != KEYS_BY_AGE]
    assert [query.shape for query in growing if scanned(query, world.database)] == []
