"""The status: the queue, each institution, what failed, and what to do about it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.bounded import AT_ONCE
from casebridge.capability import Capability, CaseKind
from casebridge.cases.case import DISCARDED
from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus
from casebridge.messaging.queue.message_filter import LAST_ERROR
from casebridge.operators import stored_fields
from casebridge.operators.dead_letter import LOOK_AT_IT
from casebridge.safe_names import ALL_NAMES, SafeNames
from casebridge.served_environment import ServedEnvironment

MOST_GROUPS: Final = 2000
"""The most pairs of institution and code that are read. More would be a fault."""
NAMED: Final = 5
UNDELIVERED: Final[dict[str, Any]] = {"undeliveredAt": {"$lte": datetime(9000, 1, 1, tzinfo=UTC)}}
"""Finds messages by the time, because the field `undelivered` itself may be too large for an index."""
SAMPLES: Final = ("$min", "$max", "$first", "$last")
"""Four operators that each pick a case of a group as an example. All servers have them."""


@dataclass(frozen=True)
class QueueDepth:
    """One queue's messages in one status."""

    queue: str
    status: str
    messages: int
    oldest: datetime | None


@dataclass
class InstitutionStatus:
    """One institution: its cases by state, its messages in the queue, and the cause of its pause, if any."""

    institution: str
    cases: dict[str, int] = field(default_factory=dict)
    """The number of cases in each column that the capabilities declare (`capability.CaseKind`). No column is missing."""
    set_aside: int = 0
    discarded: int = 0
    waiting: int = 0
    dead: int = 0
    paused: str | None = None

    def plain(self) -> dict[str, Any]:
        """The fields for JSON: each column of cases is a separate field."""
        values = asdict(self)
        return {"institution": values.pop("institution"), **values.pop("cases"), **values}


@dataclass
class FailureGroup:
    """Messages that failed for the same reason. `status` is `failed` (will be tried again) or `dead` (waits for a person)."""

    code: str
    status: str
    cause: str
    next_action: str
    messages: int = 0
    institutions: set[str] = field(default_factory=set)
    correlation_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TableStatus:
    """A table that a capability declares, as it was read."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


@dataclass(frozen=True)
class Status:
    """The whole status at one moment."""

    at: datetime
    depths: list[QueueDepth]
    institutions: list[InstitutionStatus]
    failures: list[FailureGroup]
    set_aside: dict[str, int]
    alerts_owed: int
    listeners: int
    oldest_pending_seconds: float | None
    configuration: dict[str, str] = field(default_factory=dict)
    """Rows of the configuration that cannot be used, or not as they are, each with the reason."""
    unusable_mutes: dict[str, str] = field(default_factory=dict)
    """Rows of `slack-blacklists` that cannot be used, each with the reason."""
    undelivered: int = 0
    """Messages with effects that can never be delivered. The effects are in their field `undelivered`."""
    tables: list[TableStatus] = field(default_factory=list)
    """Further tables of the capabilities (`capability.OperatorTable`)."""

    @property
    def pending(self) -> int:
        """The number of messages that will be handled without help."""
        waiting = {status.value for status in UNFINISHED}
        return sum(depth.messages for depth in self.depths if depth.status in waiting)

    @property
    def dead(self) -> int:
        return sum(depth.messages for depth in self.depths if depth.status == MessageStatus.DEAD)

    def plain(self) -> dict[str, Any]:
        """The fields for JSON, with the same names."""
        values = asdict(self)
        values["institutions"] = [row.plain() for row in self.institutions]
        for group in values["failures"]:
            group["institutions"] = sorted(group["institutions"])
        return {**values, "pending": self.pending, "dead": self.dead}


class StatusReader:
    """Reads the status in a handful of queries, however many institutions there are."""

    LISTENER_SILENT = timedelta(seconds=20)
    LISTENER_AHEAD = timedelta(minutes=1)
    """How far the clocks of two processes may differ. A listener whose time is further ahead is not counted."""

    def __init__(
        self,
        database: Database,
        capabilities: Sequence[Capability],
        pauses: Pauses,
        alerts: AlertOutbox,
        clock: Clock,
        problems: Callable[[], Mapping[str, str]] = dict,
        names: SafeNames = ALL_NAMES,
    ) -> None:
        """`problems` returns the faults of the configuration (`InstitutionRegister.problems`).

        `names` says which names may be shown.
        """
        self._names = names
        self._problems = problems
        self._messages = database.messages
        self._queue = (database.messages, database.processed_messages)
        self._listeners = database.listeners
        self._blacklist = Blacklist(database)
        self._case_kinds = [kind for capability in capabilities for kind in capability.case_kinds]
        self._tables = [table for capability in capabilities for table in capability.tables]
        self._columns = tuple(dict.fromkeys(column for kind in self._case_kinds for column in kind.columns.values()))
        self._pauses = pauses
        self._alerts = alerts
        self._clock = clock

    def read(self) -> Status:
        now = self._clock.now()
        groups = self._message_groups()
        set_aside: Counter[str] = Counter()
        institutions = self._institutions(groups, set_aside)
        depths = _depths(groups)
        pending = [depth.oldest for depth in depths if depth.status != MessageStatus.DEAD and depth.oldest]
        return Status(
            at=now,
            depths=depths,
            institutions=[institutions[key] for key in sorted(institutions)],
            failures=self._failures(),
            set_aside=dict(set_aside),
            alerts_owed=self._alerts.pending(),
            listeners=self.listeners_alive(),
            oldest_pending_seconds=(now - min(pending)).total_seconds() if pending else None,
            configuration=dict(self._problems()),
            unusable_mutes=self._blacklist.unusable(),
            # Counted here: for `count` some servers would not use the index, and read every processed message.
            tables=[TableStatus(one.name, one.title, one.columns, list(one.rows())) for one in self._tables],
            undelivered=sum(1 for each in self._queue for _ in each.find(UNDELIVERED, {"_id": 1}, batch_size=AT_ONCE)),
        )

    def listeners_alive(self, served: ServedEnvironment | None = None) -> int:
        """The number of listeners that are alive. With `served`, only those that take all messages of that environment."""
        of_env = {} if served is None else {"environment": {"$in": [served.env, None]}}
        now = self._clock.now()
        alive = {"seenAt": {"$gte": now - self.LISTENER_SILENT, "$lte": now + self.LISTENER_AHEAD}, **of_env}
        return self._listeners.count_documents(alive)

    def pending(self) -> tuple[int, float | None]:
        """The number of messages that will be handled without help, and the age of the oldest in seconds. Cheaper than `read`."""
        depths = [depth for depth in _depths(self._message_groups()) if depth.status in set(UNFINISHED)]
        oldest = min((depth.oldest for depth in depths if depth.oldest), default=None)
        age = (self._clock.now() - oldest).total_seconds() if oldest else None
        return sum(depth.messages for depth in depths), age

    def _message_groups(self) -> list[dict[str, Any]]:
        # Processed messages that still have pending effects are done for the operator, so they are not counted.
        statuses = [status.value for status in (*UNFINISHED, MessageStatus.DEAD)]
        names = {"queue": "$queue", "status": "$status", "institution": "$institution"}
        group = {"_id": names, "messages": {"$sum": 1}, "oldest": {"$min": "$enqueuedAt"}}
        found = self._messages.aggregate([{"$match": {"status": {"$in": statuses}}}, {"$group": group}])
        return [_with_safe_names(row, self._names) for row in found]

    def _institutions(self, groups: list[dict[str, Any]], set_aside: Counter[str]) -> dict[str, InstitutionStatus]:
        rows: dict[str, InstitutionStatus] = {}

        def row(group: Mapping[str, Any]) -> InstitutionStatus:
            key = self._names.institution(stored_fields.text(group.get("_id"), "institution"))
            return rows.setdefault(key, self._empty(key))

        for kind in self._case_kinds:
            for count in kind.cases.counts():
                _count_cases(kind, row(count), count, set_aside)
        for group in groups:
            if stored_fields.text(group["_id"], "status") == MessageStatus.DEAD:
                row(group).dead += group["messages"]
            else:
                row(group).waiting += group["messages"]
        for pause in self._pauses.all():
            name = self._names.institution(pause.institution)
            paused = rows.setdefault(name, self._empty(name))
            cause = pause.cause if not pause.exam_system else f"{pause.exam_system}: {pause.cause}"
            paused.paused = cause if paused.paused is None else f"{paused.paused} {cause}"
        return rows

    def _empty(self, institution: str) -> InstitutionStatus:
        return InstitutionStatus(institution, dict.fromkeys(self._columns, 0))

    def _failures(self) -> list[FailureGroup]:
        """The failures, grouped by the database: one row for each institution, status and code, however many messages."""
        last: dict[str, Any] = {
            "status": 1, "institution": 1, "case": stored_fields.short("correlationId"), "last": LAST_ERROR,
        }  # fmt: skip
        of_group = {
            "_id": {"status": "$status", "institution": "$institution", "code": "$last.code"},
            "messages": {"$sum": 1},
            "cause": {"$first": stored_fields.short("last.cause")},
            "nextAction": {"$first": stored_fields.short("last.nextAction")},
            **{f"case{number}": {operator: "$case"} for number, operator in enumerate(SAMPLES)},
        }
        selection = {"status": {"$in": [MessageStatus.FAILED.value, MessageStatus.DEAD.value]}}
        pipeline: list[dict[str, Any]] = [
            {"$match": selection},
            {"$project": last},
            {"$group": of_group},
            {"$limit": MOST_GROUPS},
        ]
        groups: dict[tuple[str, str], FailureGroup] = {}
        for found in self._messages.aggregate(pipeline, batchSize=MOST_GROUPS + 1):
            key = (stored_fields.text(found.get("_id"), "status"), stored_fields.text(found.get("_id"), "code"))
            group = groups.setdefault(
                key,
                FailureGroup(
                    key[1],
                    key[0],
                    stored_fields.text(found, "cause"),
                    stored_fields.text(found, "nextAction", LOOK_AT_IT),
                ),
            )
            group.messages += found["messages"]
            group.institutions.add(self._names.institution(stored_fields.text(found.get("_id"), "institution")))
            cases = [self._names.correlation_id(found.get(f"case{number}")) for number in range(len(SAMPLES))]
            for case in dict.fromkeys(cases):
                if len(group.correlation_ids) < NAMED and case not in group.correlation_ids:
                    group.correlation_ids.append(case)
        return sorted(groups.values(), key=lambda group: (group.status, -group.messages, group.code))


def _with_safe_names(group: dict[str, Any], names: SafeNames) -> dict[str, Any]:
    key = stored_fields.mapping(group, "_id")
    queue = names.submodule(key.get("queue"))
    return {**group, "_id": {**key, "queue": queue, "institution": names.institution(key.get("institution"))}}


def _count_cases(kind: CaseKind, row: InstitutionStatus, count: Mapping[str, Any], set_aside: Counter[str]) -> None:
    state, code = stored_fields.text(count.get("_id"), "state"), stored_fields.text(count.get("_id"), "setAside", "")
    if code == DISCARDED and state in kind.open_states:
        row.discarded += count["cases"]
    elif code and state in kind.open_states:
        row.set_aside += count["cases"]
        set_aside[code] += count["cases"]
    elif column := kind.columns.get(state):
        row.cases[column] += count["cases"]


def _depths(groups: list[dict[str, Any]]) -> list[QueueDepth]:
    messages: Counter[tuple[str, str]] = Counter()
    oldest: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for group in groups:
        key = (stored_fields.text(group["_id"], "queue"), stored_fields.text(group["_id"], "status"))
        messages[key] += group["messages"]
        if at := stored_fields.time(group, "oldest"):
            oldest[key].append(at)
    return [
        QueueDepth(queue, status, messages[queue, status], min(oldest[queue, status], default=None))
        for queue, status in sorted(messages)
    ]
