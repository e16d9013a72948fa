"""Rows: what casebridge sends to MongoDB for a message and for a whole case: commands, documents and index entries.

Three programs run, with every command recorded: enqueueing, processing with one listener, and whole cases (request, answer and
delivery to LaaS). The index entries are counted afterwards, by repeating the writes in a copy (`bench.write_replay`):

- `index entries changed`: entries that are added or removed because their key changed. Every server writes these.
- `index entries of written documents`: all entries of each written document. A server that stores a changed document as a new one
  (DocumentDB) writes these. What a server really writes lies between the two figures or close to them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from bench.context import BenchContext
from bench.installation import Installation
from bench.row import Pair, Row, row_of
from bench.simulation import Simulation
from simulators import process as simulators_process

QUEUE_PROGRAM: Final = "bench.no_op_queue"
CASE_PROGRAM: Final = "bench.carrier"
BATCH: Final = 100
NO_PEER: Final = "not measured: compare with an earlier commit"
KINDS: Final = {
    "commands": "commands",
    "documents": "documents written",
    "entries_changed": "index entries changed",
    "entries_written": "index entries of written documents",
}
LARGEST_SHOWN: Final = 4
DIGITS: Final = 3
Counts = dict[str, dict[str, int]]


def measure(context: BenchContext) -> Iterator[Row]:
    messages, cases, server = context.sizes.written_messages, context.sizes.written_cases, context.server.name
    context.report_progress(f"writes: {messages} messages")
    with context.server.installation() as installation:
        enqueue = _recorded(context, installation, QUEUE_PROGRAM, action="enqueue", count=messages, batch=BATCH)
        process = _recorded(context, installation, QUEUE_PROGRAM, action="work", count=messages)
    yield from rows("enqueue", "message", enqueue, messages, server)
    yield from rows("process", "message", process, messages, server)
    context.report_progress(f"writes: {cases} whole cases")
    with simulators_process.running() as simulators, context.server.installation() as installation:
        simulation = Simulation(installation, simulators)
        simulation.populate(cases)
        case = _recorded(context, installation, CASE_PROGRAM, record=False)
        simulation.check_all_registered(cases)
    yield from rows("whole case", "case", case, cases, server)


def _recorded(context: BenchContext, installation: Installation, program: str, **order: Any) -> Counts:
    """Run a program and return what it sent. The copy is an installation of its own, with the same indexes."""
    with context.server.installation() as copy:
        settings = copy.settings.mongodb
        names = {"config_database": settings.config_database, "oai_database": settings.oai_database}
        written: Counts = installation.run(program, copy=names, **order)["written"]
    return written


def rows(subject: str, unit: str, counts: Counts, count: int, server: str) -> Iterator[Row]:
    """One row for each kind. `details` has the parts of its sum, `bound_by` the largest of them."""
    for kind, title in KINDS.items():
        details = {
            name: round(number / count, DIGITS) for name, number in Counter(counts[kind]).most_common() if number
        }
        largest = ", ".join(f"{name} {share:g}" for name, share in list(details.items())[:LARGEST_SHOWN])
        differs = _difference(counts) if kind.startswith("entries") else ""
        pair = Pair(sum(counts[kind].values()) / count, None)
        yield row_of(
            f"writes, {subject}: {title}", f"1/{unit}", [pair], NO_PEER, f"{largest}{differs}", server, details=details
        )


def _difference(counts: Counts) -> str:
    """A note if the repeated writes did not write exactly as many documents as the recorded ones. Otherwise empty."""
    written, repeated = Counter(counts["documents"]), Counter(counts["replayed"])
    differing = ((written - repeated) + (repeated - written)).total()
    return f" (of {written.total()} documents {differing} were repeated otherwise)" if differing else ""
