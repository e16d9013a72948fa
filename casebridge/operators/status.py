"""How things stand: the queue, each institution, what failed and what to do about it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from casebridge.alerts.outbox import AlertOutbox
from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.exams.case_state import OPEN, CaseState
from casebridge.exams.cases import DISCARDED, Cases
from casebridge.messaging.message import UNFINISHED, MessageStatus
from casebridge.messaging.pauses import Pauses
from casebridge.served_environment import ServedEnvironment


@dataclass(frozen=True)
class QueueDepth:
    """One queue's messages in one status."""

    queue: str
    status: str
    messages: int
    oldest: datetime | None


@dataclass
class InstitutionStatus:
    """One institution: its cases by state, its messages in the queue, and why it is paused, if it is."""

    institution: str
    requested: int = 0
    dispatched: int = 0
    registered: int = 0
    withdrawn: int = 0
    set_aside: int = 0
    discarded: int = 0
    waiting: int = 0
    dead: int = 0
    paused: str | None = None


@dataclass
class FailureGroup:
    """Messages that failed for the same reason. `status` is `failed` (will be tried again) or `dead` (waits for you)."""

    code: str
    status: str
    cause: str
    next_action: str
    messages: int = 0
    institutions: set[str] = field(default_factory=set)
    correlation_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Status:
    """All of it, at one moment."""

    at: datetime
    depths: list[QueueDepth]
    institutions: list[InstitutionStatus]
    failures: list[FailureGroup]
    set_aside: dict[str, int]
    alerts_owed: int
    listeners: int
    oldest_pending_seconds: float | None
    configuration: dict[str, str] = field(default_factory=dict)
    """Rows of the configuration that are not carried, or not as they stand, and why."""

    @property
    def pending(self) -> int:
        """Messages that will be handled without anybody's help."""
        waiting = {status.value for status in UNFINISHED}
        return sum(depth.messages for depth in self.depths if depth.status in waiting)

    @property
    def dead(self) -> int:
        return sum(depth.messages for depth in self.depths if depth.status == MessageStatus.DEAD)

    def plain(self) -> dict[str, Any]:
        """For JSON: names as they are here, times in ISO 8601."""
        values = asdict(self)
        for group in values["failures"]:
            group["institutions"] = sorted(group["institutions"])
        return {**values, "pending": self.pending, "dead": self.dead}


class StatusReader:
    """Reads the status in a handful of queries, whatever the number of institutions."""

    LISTENER_SILENT = timedelta(seconds=20)

    def __init__(
        self,
        database: Database,
        cases: Cases,
        pauses: Pauses,
        alerts: AlertOutbox,
        clock: Clock,
        problems: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`problems` tells what is amiss with the configuration (`InstitutionRegister.problems`)."""
        self._problems = problems
        self._messages = database.messages
        self._listeners = database.listeners
        self._cases = cases
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
            alerts_owed=self._alerts.owed(),
            listeners=self.listeners_alive(),
            oldest_pending_seconds=(now - min(pending)).total_seconds() if pending else None,
            configuration=dict(self._problems()),
        )

    def listeners_alive(self, served: ServedEnvironment | None = None) -> int:
        """How many listeners have been heard of lately; with `served`, only those that take all its messages."""
        of_env = {} if served is None else {"environment": {"$in": [served.env, None]}}
        alive = {"seenAt": {"$gte": self._clock.now() - self.LISTENER_SILENT}, **of_env}
        return self._listeners.count_documents(alive)

    def pending(self) -> tuple[int, float | None]:
        """Messages that will be handled without help, and the age in seconds of the oldest; cheaper than `read`."""
        depths = [depth for depth in _depths(self._message_groups()) if depth.status in set(UNFINISHED)]
        oldest = min((depth.oldest for depth in depths if depth.oldest), default=None)
        age = (self._clock.now() - oldest).total_seconds() if oldest else None
        return sum(depth.messages for depth in depths), age

    def _message_groups(self) -> list[dict[str, Any]]:
        # Processed messages that still owe an index entry are done for the operator: not in these numbers.
        statuses = [status.value for status in (*UNFINISHED, MessageStatus.DEAD)]
        return list(
            self._messages.aggregate(
                [
                    {"$match": {"status": {"$in": statuses}}},
                    {
                        "$group": {
                            "_id": {"queue": "$queue", "status": "$status", "institution": "$institution"},
                            "messages": {"$sum": 1},
                            "oldest": {"$min": "$enqueuedAt"},
                        }
                    },
                ]
            )
        )

    def _institutions(self, groups: list[dict[str, Any]], set_aside: Counter[str]) -> dict[str, InstitutionStatus]:
        rows: dict[str, InstitutionStatus] = {}
        for count in self._cases.counts():
            row = rows.setdefault(count["_id"]["institution"], InstitutionStatus(count["_id"]["institution"]))
            state, code = count["_id"]["state"], count["_id"].get("setAside")
            if code == DISCARDED and state in OPEN:
                row.discarded += count["cases"]
            elif code and state in OPEN:
                row.set_aside += count["cases"]
                set_aside[code] += count["cases"]
            elif state == CaseState.SHOWN:
                row.registered += count["cases"]
            else:
                setattr(row, state, getattr(row, state) + count["cases"])
        for group in groups:
            row = rows.setdefault(group["_id"]["institution"], InstitutionStatus(group["_id"]["institution"]))
            if group["_id"]["status"] == MessageStatus.DEAD:
                row.dead += group["messages"]
            else:
                row.waiting += group["messages"]
        for pause in self._pauses.all():
            row = rows.setdefault(pause.institution, InstitutionStatus(pause.institution))
            cause = pause.cause if pause.exam_system is None else f"{pause.exam_system}: {pause.cause}"
            row.paused = cause if row.paused is None else f"{row.paused} {cause}"
        return rows

    def _failures(self) -> list[FailureGroup]:
        groups: dict[tuple[str, str], FailureGroup] = {}
        fields = {"status": 1, "institution": 1, "correlationId": 1, "errors": {"$slice": -1}}
        selection = {"status": {"$in": [MessageStatus.FAILED.value, MessageStatus.DEAD.value]}}
        for document in self._messages.find(selection, fields):
            last = (document.get("errors") or [{}])[-1]
            key = (document["status"], last.get("code", "unknown"))
            group = groups.setdefault(
                key, FailureGroup(key[1], key[0], last.get("cause", "unknown"), last.get("nextAction", "look at it"))
            )
            group.messages += 1
            group.institutions.add(document["institution"])
            if len(group.correlation_ids) < 5:
                group.correlation_ids.append(document["correlationId"])
        return sorted(groups.values(), key=lambda group: (group.status, -group.messages))


def _depths(groups: list[dict[str, Any]]) -> list[QueueDepth]:
    messages: Counter[tuple[str, str]] = Counter()
    oldest: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for group in groups:
        key = (group["_id"]["queue"], group["_id"]["status"])
        messages[key] += group["messages"]
        oldest[key].append(group["oldest"])
    return [
        QueueDepth(queue, status, messages[queue, status], min(oldest[queue, status]))
        for queue, status in sorted(messages)
    ]
