"""Rows: enqueue and process no-op messages, compared with other queues that process no-op jobs. Each has one worker process.

Our queue runs with deduplication, lease, fence and audit. It enqueues batches of 100, as all our sources do. In each round every
queue gets the same number of jobs. The queues run one after the other on the same machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.context import BenchContext
from bench.installation import Installation
from bench.no_op_flow import ENTRIES_A_MESSAGE
from bench.peers import Peer, running_peers
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of

PROGRAM: Final = "bench.no_op_queue"
BATCH: Final = 100
DURABLE_PEER: Final = "procrastinate"
KINDS: Final = ("enqueue", "process", "enqueue and process")


@dataclass(frozen=True)
class Run:
    """One round of one queue: messages a second by kind of work, and the shares that show what limited it."""

    rates: dict[str, float]
    shares: dict[str, Shares]


def measure(context: BenchContext) -> Iterator[Row]:
    ours: list[Run] = []
    theirs: dict[str, list[Run]] = {}
    with running_peers() as peers:
        for turn in range(context.sizes.rounds):
            context.report_progress(f"queue throughput, round {turn + 1} of {context.sizes.rounds}")
            with context.server.installation() as installation:
                ours.append(_our_run(installation, context.sizes.messages))
            for peer in peers.present:
                theirs.setdefault(peer.name, []).append(_their_run(peer, context.sizes.messages))
    titles = {peer.name: peer.title for peer in peers.present}
    for kind in KINDS:
        bound_by = str(Shares.median([run.shares[kind] for run in ours]))
        rates = [run.rates[kind] for run in ours]
        for name, title in titles.items():
            pairs = [Pair(rate, run.rates[kind]) for rate, run in zip(rates, theirs[name], strict=True)]
            goal = Goal("ratio", ">=", 3.0) if name == DURABLE_PEER else None
            yield row_of(f"queue: {kind}, {name}", "messages/s", pairs, title, bound_by, context.server.name, goal)
        if titles:
            yield _beside_the_best(kind, rates, theirs, titles, bound_by, context.server.name)
        for name, reason in peers.absent.items():
            pairs = [Pair(rate, None) for rate in rates]
            yield row_of(f"queue: {kind}, {name}", "messages/s", pairs, reason, bound_by, context.server.name)


def _beside_the_best(
    kind: str,
    rates: Sequence[float],
    theirs: Mapping[str, Sequence[Run]],
    titles: Mapping[str, str],
    bound_by: str,
    server: str,
) -> Row:
    """A row that compares each round with the fastest peer of that round."""
    pairs, winners = [], []
    for turn, rate in enumerate(rates):
        best, name = max((runs[turn].rates[kind], name) for name, runs in theirs.items())
        pairs.append(Pair(rate, best))
        winners.append(titles[name])
    title = " / ".join(sorted(set(winners)))
    return row_of(f"queue: {kind}, best of all", "messages/s", pairs, title, bound_by, server, Goal("ratio", ">=", 1.0))


def _our_run(installation: Installation, count: int) -> Run:
    enqueued = installation.run(PROGRAM, action="enqueue", count=count, batch=BATCH)
    worked = installation.run(PROGRAM, action="work", count=count)
    _check_nothing_missing(installation, count)
    shares = [Shares.from_json(part["shares"]) for part in (enqueued, worked)]
    return _run(count, enqueued["seconds"], worked["seconds"], shares)


def _check_nothing_missing(installation: Installation, count: int) -> None:
    """Check that every message was processed once and has its audit entries: a rate counts only for work that was done.

    Raises `RuntimeError` otherwise.
    """
    database = installation.database
    found = {
        "waiting": database.messages.count_documents({}),
        "processed": database.processed_messages.count_documents({}),
        "keys": database.received_keys.count_documents({}),
        "audit entries": database.audit_log.count_documents({}),
    }
    wanted = {"waiting": 0, "processed": count, "keys": count, "audit entries": count * ENTRIES_A_MESSAGE}
    if found != wanted:
        raise RuntimeError(f"the queue did not do its work: found {found}, wanted {wanted}")


def _their_run(peer: Peer, count: int) -> Run:
    return _run(count, peer.enqueue(count), peer.work(count), [Shares({}), Shares({})])


def _run(count: int, enqueue: float, process: float, shares: list[Shares]) -> Run:
    """The run with these seconds and processor shares of enqueueing and of processing."""
    seconds = dict(zip(KINDS, (enqueue, process, enqueue + process), strict=True))
    both = Shares.mean(list(zip(shares, (enqueue, process), strict=True)))
    return Run({kind: count / taken for kind, taken in seconds.items()}, dict(zip(KINDS, (*shares, both), strict=True)))
