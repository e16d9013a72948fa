"""The dead letters of all capabilities: find, show, replay, discard.

- An action is a dry run unless its order says otherwise.
- It is audited before it takes effect, with who asked and why.
- It may be ended at any point and repeated: what was done is not done again.
- The database selects the messages. They are read and changed in batches.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final

from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.cases.operator_cases import OperatorCases
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Document, identity_of
from casebridge.fingerprint import short_hash
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.malformed_documents import name_of_key
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import UNFINISHED, UNKNOWN, MessageStatus
from casebridge.messaging.queue.message_filter import LAST
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators import stored_fields
from casebridge.operators.dead_letter import CHOOSABLE, DeadLetter, DeadLetterFilter, LetterStory, RequestError
from casebridge.safe_names import ALL_NAMES, SafeNames
from casebridge.tenant import normal_institution

BATCH: Final = 500
NAMED: Final = 20
"""How many cases a report names."""
SHOWN_AT_ONCE: Final = 50
MOST_CODES: Final = 200
OTHER_CODES: Final = "other"
MOST_NAMED: Final = 200
CODE: Final = re.compile(r"[a-z_]{1,40}\.[a-z0-9_]{1,60}")
REPLAYED: Final = "replayed"
DISCARDED: Final = "discarded"

Progress = Callable[[int, int], None]
"""Called after each batch with the number of letters that are done, and the number of all."""


def _silent(_done: int, _of: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Order:
    """How an action is to be carried out, who asks for it, and why."""

    limit: int = 100
    dry_run: bool = True
    reason: str = ""
    asked_by: str = ""

    def __post_init__(self) -> None:
        """Raises `RequestError` if the reason or the person is missing and it is no dry run."""
        if self.dry_run:
            return
        if not self.reason.strip():
            raise RequestError("say why: the audit keeps it", "reason")
        if not self.asked_by.strip():
            raise RequestError("say who asks: the audit keeps it", "asked_by")


@dataclass(frozen=True)
class Listing:
    """The oldest letters, and the number of all letters for each code."""

    found: int
    by_code: dict[str, int]
    letters: list[DeadLetter]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ActionReport:
    """The result of an action, in numbers of letters.

    - `found`: all that match. `by_code` counts these by code.
    - `chosen`: those within the order's limit.
    - `changed`: those that were changed. A dry run changes none. Letters that somebody else changed first are not counted.
    """

    action: str
    found: int
    chosen: int
    changed: int
    dry_run: bool
    by_code: dict[str, int]
    correlation_ids: list[str]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Stories:
    """The stories of a case's letters. `left_out` counts the letters that are not shown: they are too large or too many."""

    stories: list[LetterStory]
    left_out: int = 0

    @property
    def note(self) -> str | None:
        """A sentence about the letters that are left out; `None` if there are none."""
        if not self.left_out:
            return None
        return (
            f"{self.left_out} more of this case are not shown (too many, or too large). `casebridge dead list` names each; "
            "the documents are in oai.meldingQ."
        )


class DeadLetters:
    """The operators' actions on letters. `MeldingQ` changes the status of the messages."""

    def __init__(
        self,
        messages: StoredMessages,
        queue: MeldingQ,
        cases: Sequence[OperatorCases],
        audit: AuditLog,
        clock: Clock,
        *,
        queues: Sequence[str] = (),
        institutions: Callable[[], Collection[str]] = tuple,
        names: SafeNames = ALL_NAMES,
    ) -> None:
        """`cases` has the cases of each capability, and `queues` the names of all their queues.

        `institutions` returns those of the configuration, as in `uis.no/prod`. `names` says which names may be shown to people.
        """
        self._messages = messages
        self._queue = queue
        self._cases = cases
        self._audit = audit
        self._clock = clock
        self._queues = queues
        self._institutions = institutions
        self._names = names

    def find(self, wanted: DeadLetterFilter, limit: int) -> Listing:
        """The oldest letters, at most `limit`. Needs two queries, however many letters there are.

        Raises `RequestError` if the filter has an unknown name.
        """
        self._require_known(wanted)
        by_code = self._by_code(wanted)
        # The batch size is larger than the limit: so the server says with the last row that there are no more.
        rows = self._messages.rows(wanted, limit, batch_size=limit + 1)
        return Listing(sum(by_code.values()), by_code, [self._named(DeadLetter.from_document(row)) for row in rows])

    def show(self, correlation_id: str, queue: str | None = None) -> Stories:
        """The letters of one case, oldest first: usually one."""
        found, count = self._messages.stories(correlation_id, queue, CHOOSABLE, SHOWN_AT_ONCE)
        stories = [LetterStory.from_document(document) for document in found]
        shown = [replace(story, letter=self._named(story.letter), origin=self._origin(story)) for story in stories]
        # Counted as the list counts them, so that the two always agree.
        return Stories(shown, max(0, count - len(shown)))

    def _named(self, letter: DeadLetter) -> DeadLetter:
        return replace(
            letter,
            correlation_id=self._names.correlation_id(letter.correlation_id),
            institution=self._names.institution(letter.institution),
            queue=self._names.submodule(letter.queue),
            exam_system=self._names.exam_system(letter.exam_system),
        )

    def _origin(self, story: LetterStory) -> dict[str, str | int]:
        numbers = {name: value for name, value in story.origin.items() if isinstance(value, int)}
        return {**({"topic": self._names.topic(story.origin["topic"])} if "topic" in story.origin else {}), **numbers}

    def replay(self, wanted: DeadLetterFilter, order: Order, progress: Progress = _silent) -> ActionReport:
        """Start letters again, oldest first, with all their attempts. Finished steps are not repeated.

        A discarded letter can be replayed for the time `interventions.BROUGHT_BACK_WITHIN`. Raises `RequestError` if the filter
        has an unknown name.
        """

        def replay_batch(batch: list[Document]) -> int:
            if wanted.status is MessageStatus.DISCARDED:
                self._bring_cases_back(batch)
            return self._queue.replay(
                _chosen(batch), from_status=wanted.status, reason=order.reason, asked_by=order.asked_by
            )

        return self._act(REPLAYED, wanted, order, replay_batch, progress)

    def discard(self, wanted: DeadLetterFilter, order: Order, progress: Progress = _silent) -> ActionReport:
        """Discard dead letters, oldest first: they are resolved without casebridge. There are no further attempts or reminders.

        Raises `RequestError` if the filter has another status or an unknown name.
        """
        if wanted.status is not MessageStatus.DEAD:
            raise RequestError("only dead messages can be discarded; the others go on by themselves or are discarded")

        def discard_batch(batch: list[Document]) -> int:
            keys = self._left_without_message(batch)
            for cases in self._cases:
                cases.discard(keys, by=order.asked_by, reason=order.reason)
            return self._queue.discard(_chosen(batch), reason=order.reason, asked_by=order.asked_by)

        report = self._act(DISCARDED, wanted, order, discard_batch, progress)
        if not order.dry_run:
            self._queue.move_discarded(BATCH)
        return report

    def _act(
        self,
        action: str,
        wanted: DeadLetterFilter,
        order: Order,
        change: Callable[[list[Document]], int],
        progress: Progress,
    ) -> ActionReport:
        self._require_known(wanted)
        by_code = self._by_code(wanted)
        found = sum(by_code.values())
        chosen = min(found, order.limit)
        changed = 0
        named: list[str] = []
        limit = min(order.limit, NAMED) if order.dry_run else order.limit
        for done, batch in _batches(self._messages.rows(wanted, limit, batch_size=BATCH)):
            named += [self._names.correlation_id(row.get("correlationId")) for row in batch[: NAMED - len(named)]]
            if order.dry_run:
                continue
            self._audit.add(self._entry(row, action, order) for row in batch)
            crash_point("audit_written")
            changed += change(batch)
            progress(done, max(done, chosen))
        return ActionReport(action, found, chosen, changed, order.dry_run, by_code, named)

    def _require_known(self, wanted: DeadLetterFilter) -> None:
        """Raises `RequestError` if the filter has an unknown name.

        An institution that left the configuration stays known as long as it has messages or cases.
        """
        if wanted.institution and not self._knows_institution(wanted.institution):
            there = ", ".join(sorted(self._institutions())[:MOST_NAMED]) or "none"
            raise RequestError(
                f"institution {_quoted(wanted.institution)} is unknown: it is written as in uis.no/prod; there are {there}"
            )
        if wanted.queue and wanted.queue not in self._queues and not self._messages.knows_queue(wanted.queue):
            raise RequestError(f"queue {_quoted(wanted.queue)} is unknown; there are {', '.join(self._queues)}")
        if wanted.code and wanted.code != UNKNOWN and not CODE.fullmatch(wanted.code):
            raise RequestError(
                f"code {_quoted(wanted.code)} is none: they are written as in wiseflow.flow_missing (docs/operating.md)"
            )

        if wanted.correlation_id and not self._knows_case(wanted.correlation_id):
            raise RequestError(
                f"case {_quoted(wanted.correlation_id)} is unknown: casebridge dead list shows the correlation ids"
            )

    def _knows_case(self, correlation_id: str) -> bool:
        return self._messages.knows_case(correlation_id) or any(
            cases.knows_case(correlation_id) for cases in self._cases
        )

    def _knows_institution(self, key: str) -> bool:
        name = normal_institution(key)
        if name in self._institutions() or self._messages.knows_institution(name):
            return True
        return any(cases.knows_institution(name) for cases in self._cases)

    def _by_code(self, wanted: DeadLetterFilter) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for row in self._messages.counts(wanted):
            # On some servers `_id` is absent if the documents lack the field.
            code = stored_fields.text(row, "_id")
            counts[code if code in counts or len(counts) < MOST_CODES else OTHER_CODES] += row["messages"]
        return dict(counts.most_common())

    def _left_without_message(self, batch: list[Document]) -> list[str]:
        """The cases that no message carries once these letters are discarded. They are discarded, too."""
        keys = {identity_of(row["_id"]) for row in batch}
        cases = {_case(row) for row in batch}
        siblings = self._messages.carrying(cases, (*UNFINISHED, MessageStatus.DEAD))
        others = (sibling for sibling in siblings if identity_of(sibling["_id"]) not in keys)
        return sorted(cases - {stored_fields.text(sibling, "orderingKey") for sibling in others})

    def _bring_cases_back(self, batch: list[Document]) -> None:
        by_code: dict[str, list[str]] = {}
        for row in batch:
            by_code.setdefault(_code(row), []).append(_case(row))
        for code, cases in by_code.items():
            for store in self._cases:
                store.bring_back(cases, code)

    def _entry(self, row: Document, action: str, order: Order) -> AuditEntry:
        """The audit entry of an action on one letter. Repeated for the same person and reason, it is the same entry."""
        order_hash = short_hash(order.asked_by, order.reason)
        return AuditEntry(
            id=f"{name_of_key(row['_id'])}:{_generation(row)}:{action}:{order_hash}",
            time=self._clock.now(),
            correlation_id=stored_fields.text(row, "correlationId"),
            org_id=stored_fields.text(row, "orgId"),
            env=stored_fields.text(row, "env"),
            exam_system=stored_fields.text(row, "examSystem"),
            submodule=stored_fields.text(row, "queue"),
            step=action,
            success=True,
            detail={"reason": order.reason, "askedBy": order.asked_by},
        )


def _batches(rows: Iterable[Document]) -> Iterator[tuple[int, list[Document]]]:
    """Batches of rows, each with the number of rows up to its end."""
    remaining = iter(rows)
    done = 0
    while batch := list(islice(remaining, BATCH)):
        done += len(batch)
        yield done, batch


def _quoted(text: str) -> str:
    """A text that an operator typed, in quotes, and cut if it is longer than any name."""
    return repr(text[:100])


def _chosen(batch: list[Document]) -> list[Chosen]:
    return [Chosen(row["_id"], row.get("generation")) for row in batch]


def _generation(row: Document) -> int:
    return stored_fields.number(row, "generation", 1)


def _case(row: Document) -> str:
    return stored_fields.text(row, "orderingKey", name_of_key(row["_id"]))


def _code(row: Document) -> str:
    return stored_fields.text(row.get(LAST), "code")
