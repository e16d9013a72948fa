"""The dead letters, in one place whatever road they came: find, show, replay, discard.

An action is a dry run unless its order says otherwise. It is audited, with who asked and why, before it takes effect, and may be
broken off and repeated at any moment: what was done is not done again. Messages are read and changed in batches, and chosen in
the database.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final

from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.bounded import bounded
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document, identity_of
from casebridge.exams.explanations import answer_poller, explanation_event_record, request_intake
from casebridge.exams.explanations.cases import Cases
from casebridge.fingerprint import short_hash
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.malformed_documents import name_of_key
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import UNFINISHED, UNKNOWN, MessageStatus
from casebridge.operators import stored_fields
from casebridge.operators.dead_letter import CHOOSABLE, LAST, SHOWN, DeadLetter, DeadLetterFilter, LetterStory
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.sources import record_inbox
from casebridge.tenant import institution_name, normal_institution
from casebridge.told_names import ALL_NAMES, ToldNames

BATCH: Final = 500
NAMED: Final = 20
"""How many cases a report names."""
SHOWN_AT_ONCE: Final = 50
STORY: Final[Document] = {
    **dict.fromkeys(
        (*SHOWN, "errors", "replays", "replayedAt", "replayedBy", "replayReason", "discardedAt", "discardedBy", "discardReason"),
        1,
    ),
    "steps": stored_fields.STEPS,
}  # fmt: skip
"""The stage that reads a letter's story. What may be large, such as a message as it came by Kafka or what a step came to,
cannot be shown by mistake."""
MOST_CODES: Final = 200
OTHER_CODES: Final = "other"
MOST_NAMED: Final = 200
QUEUES: Final = (request_intake.QUEUE, answer_poller.QUEUE, explanation_event_record.QUEUE, record_inbox.QUEUE)
CODE: Final = re.compile(r"[a-z_]{1,40}\.[a-z0-9_]{1,60}")
REPLAYED: Final = "replayed"
DISCARDED: Final = "discarded"

Progress = Callable[[int, int], None]
"""Told after each batch: how many letters are through, of how many."""


def _silent(_done: int, _of: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Order:
    """How an action is to be carried out, and on whose word."""

    limit: int = 100
    dry_run: bool = True
    reason: str = ""
    asked_by: str = ""

    def __post_init__(self) -> None:
        if not self.dry_run and not (self.reason.strip() and self.asked_by.strip()):
            raise ValueError("say why and who asks: the audit keeps both")


@dataclass(frozen=True)
class Listing:
    """The oldest letters, and how many there are of each code in all."""

    found: int
    by_code: dict[str, int]
    letters: list[DeadLetter]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ActionReport:
    """What an action came to. `chosen` are at most the order's limit of those `found`; `by_code` counts all found.

    Of the chosen, `changed` were changed: none in a dry run, and not those that somebody else was faster with.
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
    """The stories of a case's letters, and how many letters are left out: too large to be shown, or more than are shown."""

    stories: list[LetterStory]
    left_out: int = 0

    @property
    def note(self) -> str | None:
        """What a reader is told of those that are left out; `None` where nothing is."""
        if not self.left_out:
            return None
        return (
            f"{self.left_out} more of this case are not shown (too many, or too large). `casebridge dead list` names each; "
            "the documents are in oai.meldingQ."
        )


class UnknownChoiceError(ValueError):
    """What an operator chose by is nowhere: most likely mistyped. The text says what there is."""


class DeadLetters:
    """What operators do with letters. The change of a message's state itself is `MeldingQ`'s."""

    def __init__(
        self,
        database: Database,
        queue: MeldingQ,
        cases: Cases,
        audit: AuditLog,
        clock: Clock,
        served: ServedEnvironment = EVERY_ENVIRONMENT,
        names: ToldNames = ALL_NAMES,
    ) -> None:
        """Letters of an environment that is not `served` are neither chosen nor counted; `names` says whom may be named."""
        self._names = names
        self._served: list[Document] = [{"$match": selection}] if (selection := served.selection()) else []
        self._messages = database.messages
        self._known_by = (database.messages, database.cases)
        self._environments = database.environments
        self._queue = queue
        self._cases = cases
        self._audit = audit
        self._clock = clock

    def _ours(self, stages: list[Document]) -> list[Document]:
        """The first stage is answered by an index; what is not ours is left out of what it found."""
        return [stages[0], *self._served, *stages[1:]]

    def find(self, wanted: DeadLetterFilter, limit: int) -> Listing:
        """Oldest first, at most `limit`. Two round trips, however many there are."""
        self._see_that_known(wanted)
        by_code = self._by_code(wanted)
        # One more than there can be: with the last row the server says that it was the last.
        rows = self._messages.aggregate(self._ours(wanted.rows(limit)), batchSize=limit + 1)
        return Listing(sum(by_code.values()), by_code, [self._told(DeadLetter.from_document(row)) for row in rows])

    def show(self, correlation_id: str, queue: str | None = None) -> Stories:
        """The letters of one case, oldest first: usually one."""
        selection: Document = {
            "correlationId": correlation_id,
            "status": {"$in": [status.value for status in CHOOSABLE]},
        }
        if queue:
            selection["queue"] = queue
        stages: list[Document] = [
            {"$match": selection}, {"$sort": {"enqueuedAt": 1}}, {"$limit": SHOWN_AT_ONCE}, {"$project": STORY},
        ]  # fmt: skip
        found = bounded(self._messages.aggregate(stages), SHOWN_AT_ONCE)
        stories = [LetterStory.from_document(document) for document in found]
        told = [replace(story, letter=self._told(story.letter), origin=self._origin(story)) for story in stories]
        # In the same way as the list counts them, so that the two never say different things.
        return Stories(told, max(0, self._messages.count_documents(selection) - len(told)))

    def _told(self, letter: DeadLetter) -> DeadLetter:
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
        """Begin letters anew, oldest first, with all their attempts; the steps that are done are not done again.

        A discarded one can be brought back so for `interventions.BROUGHT_BACK_WITHIN`.
        """

        def begin_anew(batch: list[Document]) -> int:
            if wanted.status is MessageStatus.DISCARDED:
                self._bring_cases_back(batch)
            return self._queue.replay(
                _chosen(batch), from_status=wanted.status, reason=order.reason, asked_by=order.asked_by
            )

        return self._act(REPLAYED, wanted, order, begin_anew, progress)

    def discard(self, wanted: DeadLetterFilter, order: Order, progress: Progress = _silent) -> ActionReport:
        """Declare dead letters settled without us, oldest first: nobody tries them again, and nobody is reminded of them."""
        if wanted.status is not MessageStatus.DEAD:
            raise ValueError("only dead messages can be discarded; the others go on by themselves or are discarded")

        def give_up(batch: list[Document]) -> int:
            self._cases.discard(self._left_without_message(batch), by=order.asked_by, reason=order.reason)
            return self._queue.discard(_chosen(batch), reason=order.reason, asked_by=order.asked_by)

        report = self._act(DISCARDED, wanted, order, give_up, progress)
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
        self._see_that_known(wanted)
        by_code = self._by_code(wanted)
        found = sum(by_code.values())
        chosen = min(found, order.limit)
        changed = 0
        named: list[str] = []
        limit = min(order.limit, NAMED) if order.dry_run else order.limit
        for done, batch in _batches(self._messages.aggregate(self._ours(wanted.rows(limit)), batchSize=BATCH)):
            named += [self._names.correlation_id(row.get("correlationId")) for row in batch[: NAMED - len(named)]]
            if order.dry_run:
                continue
            self._audit.add(self._entry(row, action, order) for row in batch)
            crash_point("audit_written")
            changed += change(batch)
            progress(done, max(done, chosen))
        return ActionReport(action, found, chosen, changed, order.dry_run, by_code, named)

    def _see_that_known(self, wanted: DeadLetterFilter) -> None:
        """Raises `UnknownChoiceError`. An institution that is carried no more stays known as long as it has messages or cases."""
        if wanted.institution and not self._knows_institution(wanted.institution):
            there = ", ".join(self._configured()[:MOST_NAMED]) or "none"
            raise UnknownChoiceError(
                f"institution {_quoted(wanted.institution)} is unknown: it is written as in uis.no/prod; there are {there}"
            )
        if wanted.queue and wanted.queue not in QUEUES and not self._has({"queue": wanted.queue}):
            raise UnknownChoiceError(f"queue {_quoted(wanted.queue)} is unknown; there are {', '.join(QUEUES)}")
        if wanted.code and wanted.code != UNKNOWN and not CODE.fullmatch(wanted.code):
            raise UnknownChoiceError(
                f"code {_quoted(wanted.code)} is none: they are written as in wiseflow.flow_missing (docs/operating.md)"
            )

        if wanted.correlation_id and not self._knows({"correlationId": wanted.correlation_id}):
            raise UnknownChoiceError(
                f"case {_quoted(wanted.correlation_id)} is unknown: casebridge dead list shows the correlation ids"
            )

    def _knows(self, selection: Document) -> bool:
        return any(collection.find_one(selection, {"_id": 1}) for collection in self._known_by)

    def _knows_institution(self, key: str) -> bool:
        name = normal_institution(key)
        if name in self._configured():
            return True
        return self._knows({"institution": name})

    def _configured(self) -> list[str]:
        """In their one spelling, whatever that of the configuration is."""
        rows = self._environments.find({}, {"orgId": 1, "env": 1})
        return sorted({institution_name(row.get("orgId"), row.get("env")) for row in rows})

    def _has(self, selection: Document) -> bool:
        return self._messages.find_one(selection, {"_id": 1}) is not None

    def _by_code(self, wanted: DeadLetterFilter) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for row in self._messages.aggregate(self._ours(wanted.counts()), batchSize=1000):
            # Some servers leave a field out of `_id` that a document has not.
            code = stored_fields.text(row, "_id")
            counts[code if code in counts or len(counts) < MOST_CODES else OTHER_CODES] += row["messages"]
        return dict(counts.most_common())

    def _left_without_message(self, batch: list[Document]) -> list[str]:
        """The cases that nothing drives any more once these letters are gone: those are discarded with them."""
        keys = {identity_of(row["_id"]) for row in batch}
        cases = {_case(row) for row in batch}
        alive = [status.value for status in (*UNFINISHED, MessageStatus.DEAD)]
        siblings = self._messages.find(
            {"orderingKey": {"$in": list(cases)}, "status": {"$in": alive}}, {"orderingKey": 1}, batch_size=10 * BATCH
        )
        others = (sibling for sibling in siblings if identity_of(sibling["_id"]) not in keys)
        return sorted(cases - {stored_fields.text(sibling, "orderingKey") for sibling in others})

    def _bring_cases_back(self, batch: list[Document]) -> None:
        by_code: dict[str, list[str]] = {}
        for row in batch:
            by_code.setdefault(_code(row), []).append(_case(row))
        for code, cases in by_code.items():
            self._cases.bring_back(cases, code)

    def _entry(self, row: Document, action: str, order: Order) -> AuditEntry:
        """Repeated on the same word it is the same entry; on another's word it is another."""
        word = short_hash(order.asked_by, order.reason)
        return AuditEntry(
            id=f"{name_of_key(row['_id'])}:{_generation(row)}:{action}:{word}",
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
    """Batches of rows, each with how many rows there are up to its end."""
    remaining = iter(rows)
    done = 0
    while batch := list(islice(remaining, BATCH)):
        done += len(batch)
        yield done, batch


def _quoted(told: str) -> str:
    """What an operator typed, cut where it is longer than any name."""
    return repr(told[:100])


def _chosen(batch: list[Document]) -> list[Chosen]:
    return [Chosen(row["_id"], row.get("generation")) for row in batch]


def _generation(row: Document) -> int:
    return stored_fields.number(row, "generation", 1)


def _case(row: Document) -> str:
    return stored_fields.text(row, "orderingKey", name_of_key(row["_id"]))


def _code(row: Document) -> str:
    return stored_fields.text(row.get(LAST), "code")
