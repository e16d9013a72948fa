"""Row: the time from SIGKILL of one of two listeners under load until the other has taken over every message of the first."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from bench.context import BenchContext
from bench.installation import Installation
from bench.no_op_flow import no_op_messages
from bench.row import Goal, Pair, Row, row_of
from casebridge.database import Database
from local_servers.child_process import Child

PROGRAM: Final = "bench.no_op_queue"
READY: Final = "Listening as "
STEP_SECONDS: Final = 0.25
BATCH: Final = 4
BATCHES_A_SECOND: Final = 5
"""Twenty messages a second take a quarter of a second each. So five are in work at any time: one listener can do that alone."""
MESSAGES_IN_WORK: Final = 2
"""The listener is killed when it has at least so many messages in work."""
CHECK_EVERY_SECONDS: Final = 0.02
END_SECONDS: Final = 120.0
GRACE_SECONDS: Final = 1.0
MESSAGES: Final = 1_000_000
"""More than are ever enqueued."""


def measure(context: BenchContext) -> Iterator[Row]:
    lease = context.sizes.lease_seconds
    pairs = []
    for turn in range(context.sizes.rounds):
        context.report_progress(f"recovery, round {turn + 1} of {context.sizes.rounds}")
        with context.server.installation(queue={"lease_seconds": lease}) as installation:
            pairs.append(Pair(_seconds_until_taken_over(installation), lease + GRACE_SECONDS))
    yield row_of(
        "recovery after SIGKILL",
        "s",
        pairs,
        f"lease of {lease:g} s + {GRACE_SECONDS:g} s",
        _bound_by([pair.ours for pair in pairs], lease),
        context.server.name,
        Goal("ratio", "<=", 1.0),
    )


def _bound_by(seconds: list[float], lease: float) -> str:
    """The share of the lease in the time of the slowest run."""
    slowest = max(seconds)
    return f"the lease ({min(1.0, lease / slowest):.0%} of the slowest run's {slowest:.2f} s)"


def _seconds_until_taken_over(installation: Installation) -> float:
    order = json.dumps({"action": "listen", "step_seconds": STEP_SECONDS})
    victim, survivor = (
        installation.start("listener", sys.executable, "-m", PROGRAM, order, ready=READY) for _ in range(2)
    )
    try:
        with _load(installation):
            in_work = _kill_under_load(installation.database, victim)
            killed_at = time.monotonic()
            _wait_until(
                lambda: not _messages_in_work(installation.database, _owner(victim), in_work),
                "everything is taken over",
            )
            seconds = time.monotonic() - killed_at
        _wait_until(lambda: installation.database.messages.find_one() is None, "the queue is empty")
    finally:
        victim.stop()
        survivor.stop()
    return seconds


@contextmanager
def _load(installation: Installation) -> Iterator[None]:
    """Enqueue messages at an even rate while the context is open."""
    ended = threading.Event()

    def enqueue() -> None:
        messages = no_op_messages(MESSAGES)
        with installation.process() as process:
            while not ended.wait(1 / BATCHES_A_SECOND):
                process.stores.queue.accept(list(islice(messages, BATCH)))

    producer = threading.Thread(target=enqueue, name="load")
    producer.start()
    try:
        yield
    finally:
        ended.set()
        producer.join()


def _kill_under_load(database: Database, victim: Child) -> list[str]:
    """Kill the listener while it has messages in work; return their keys. It is frozen first, so that it cannot finish them."""
    while True:
        _wait_until(
            lambda: len(_messages_in_work(database, _owner(victim))) >= MESSAGES_IN_WORK, "the listener holds messages"
        )
        victim.process.send_signal(signal.SIGSTOP)
        in_work = _messages_in_work(database, _owner(victim))
        if len(in_work) >= MESSAGES_IN_WORK:
            victim.kill()
            return in_work
        victim.process.send_signal(signal.SIGCONT)


def _messages_in_work(database: Database, owner: str, among: list[str] | None = None) -> list[str]:
    """The keys of the messages that a listener has in work."""
    selection = {"owner": owner, "status": "processing", **({"_id": {"$in": among}} if among is not None else {})}
    return [document["_id"] for document in database.messages.find(selection, {"_id": 1})]


def _owner(listener: Child) -> str:
    """The name that a listener gave itself when it was ready."""
    return listener.log.read_text().split(READY)[1].split(".")[0]


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {END_SECONDS:.0f} s still not: {what}")
        time.sleep(CHECK_EVERY_SECONDS)
