"""What a capability declares. The platform loops over the declarations; no other list of queues, flows or channels exists.

Only the type is here. A capability builds its declaration in `resources/wiring/`, which also makes the list of all
(`resources.wiring.capabilities`). What Dagster needs of a capability is declared beside it (`orchestration.capability`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pymongo import IndexModel
from pymongo.collection import Collection

from casebridge.cases.operator_cases import OperatorCases
from casebridge.database import Document
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.outbox.effect import Announcer, EffectChannel
from casebridge.sources.record_reader import RecordReader
from casebridge.sources.source import Source


@dataclass(frozen=True)
class Queue:
    """One queue of a capability: who handles its messages, and what a batch of it is reported as."""

    flow: Flow
    reported_as: str | None = None
    """Key of the Dagster asset whose latest report tells what was handled; `None`: only the batch itself tells."""

    @property
    def name(self) -> str:
        return self.flow.queue


@dataclass(frozen=True)
class CaseKind:
    """One kind of case, as `casebridge status` and the reports to Dagster count it."""

    cases: OperatorCases
    columns: Mapping[str, str]
    """The column that a state is counted in. Several states may share one."""
    open_states: frozenset[str]
    """Only an open case is counted as set aside or discarded."""


@dataclass(frozen=True)
class DailyCount:
    """A step of the audit whose successes are counted for each day."""

    step: str
    name: str
    """Of the number in reports: `today_registered`."""
    outcomes: frozenset[str | None] = frozenset({None})
    """Outcomes with which the step did its act. With another one there was nothing to do any more."""


@dataclass(frozen=True)
class OperatorTable:
    """A table of a capability's own, shown by `casebridge status`, by reports to Dagster and by the demo."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Callable[[], Sequence[tuple[object, ...]]]
    """Reads the rows. No personal data."""


@dataclass(frozen=True)
class IndexedCollection:
    """A collection of a capability's own. `casebridge prepare` creates the indexes."""

    collection: Collection[Document]
    indexes: Sequence[IndexModel]


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One vertical slice. Every field may be left empty."""

    name: str
    queues: Sequence[Queue] = ()
    """In the order in which a batch handles them."""
    sources: Sequence[Source] = ()
    """In the order in which a synchronisation polls them."""
    record_readers: Mapping[str, RecordReader] = field(default_factory=dict)
    """Who reads the records of a Kafka topic."""
    announcers: Sequence[Announcer] = ()
    """Who says what a settled message owes to the outside."""
    channels: Mapping[str, EffectChannel] = field(default_factory=dict)
    """Who delivers pending effects, by their kind."""
    case_kinds: Sequence[CaseKind] = ()
    daily_counts: Sequence[DailyCount] = ()
    tables: Sequence[OperatorTable] = ()
    collections: Sequence[IndexedCollection] = ()
    submodules: frozenset[str] = frozenset()
    """Names beside its queues under which it writes audit entries and alerts."""

    @property
    def all_submodules(self) -> frozenset[str]:
        return self.submodules | {queue.name for queue in self.queues}


def all_cases(capabilities: Iterable[Capability]) -> tuple[OperatorCases, ...]:
    """The cases of every declared kind."""
    return tuple(kind.cases for capability in capabilities for kind in capability.case_kinds)


def all_queues(capabilities: Iterable[Capability]) -> dict[str, Queue]:
    """Every declared queue, by name. Raises `ValueError` for one that two capabilities declare."""
    found: dict[str, Queue] = {}
    for capability in capabilities:
        for queue in capability.queues:
            if queue.name in found:
                raise ValueError(f"two capabilities declare the queue {queue.name}")
            found[queue.name] = queue
    return found
