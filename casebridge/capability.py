"""The type of a capability's declaration. The platform loops over the declarations. No other list of queues or flows exists.

A capability builds its declaration in `resources/wiring/`. The list of all capabilities is made there, too
(`resources.wiring.capabilities`). What Dagster needs of a capability is declared in `orchestration.capability`.
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
from casebridge.storage.migration import Migration


@dataclass(frozen=True)
class Queue:
    """One queue of a capability: the flow of its messages, and the Dagster asset that its batches are reported to."""

    flow: Flow
    reported_as: str | None = None
    """Key of the Dagster asset that gets a report of what was handled. `None`: only the batch's own run shows it."""

    @property
    def name(self) -> str:
        return self.flow.queue


@dataclass(frozen=True)
class CaseKind:
    """One kind of case, as `casebridge status` and the reports to Dagster count it."""

    cases: OperatorCases
    columns: Mapping[str, str]
    """The column in which each state is counted. Several states may share one."""
    open_states: frozenset[str]
    """Only an open case is counted as set aside or discarded."""


@dataclass(frozen=True)
class DailyCount:
    """A step of the audit whose successes are counted for each day."""

    step: str
    name: str
    """The name of the number in reports, such as `today_registered`."""
    outcomes: frozenset[str | None] = frozenset({None})
    """The outcomes that are counted: those with which the step did its act. With another one there was nothing left to do."""


@dataclass(frozen=True)
class OperatorTable:
    """A table of a capability. `casebridge status`, reports to Dagster and the demo show it."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Callable[[], Sequence[tuple[object, ...]]]
    """Reads the rows. No personal data."""


@dataclass(frozen=True)
class IndexedCollection:
    """A collection of a capability. `casebridge prepare` creates the indexes."""

    collection: Collection[Document]
    indexes: Sequence[IndexModel]


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One kind of case from end to end. Every field but the name may be empty."""

    name: str
    queues: Sequence[Queue] = ()
    """In the order in which a batch handles them."""
    sources: Sequence[Source] = ()
    """In the order in which a synchronisation polls them."""
    record_readers: Mapping[str, RecordReader] = field(default_factory=dict)
    """Record readers by Kafka topic: what the records mean."""
    announcers: Sequence[Announcer] = ()
    """They decide which effects the outcome of a message has."""
    channels: Mapping[str, EffectChannel] = field(default_factory=dict)
    """Channels by kind of effect: how pending effects are delivered."""
    case_kinds: Sequence[CaseKind] = ()
    daily_counts: Sequence[DailyCount] = ()
    tables: Sequence[OperatorTable] = ()
    collections: Sequence[IndexedCollection] = ()
    migrations: Sequence[Migration] = ()
    """Steps that bring its stored documents into a later form. Each number is used once, also among capabilities."""
    submodules: frozenset[str] = frozenset()
    """Names beside its queues under which it writes audit entries and alerts."""

    @property
    def all_submodules(self) -> frozenset[str]:
        return self.submodules | {queue.name for queue in self.queues}


def all_cases(capabilities: Iterable[Capability]) -> tuple[OperatorCases, ...]:
    """The cases of every declared kind."""
    return tuple(kind.cases for capability in capabilities for kind in capability.case_kinds)


def all_queues(capabilities: Iterable[Capability]) -> dict[str, Queue]:
    """Every declared queue, by name. Raises `ValueError` if two capabilities declare the same queue."""
    found: dict[str, Queue] = {}
    for capability in capabilities:
        for queue in capability.queues:
            if queue.name in found:
                raise ValueError(f"two capabilities declare the queue {queue.name}")
            found[queue.name] = queue
    return found
