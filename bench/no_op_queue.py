"""The program for casebridge's own queue. It has the actions of the peers' programs, and one more.

- `enqueue` fills the queue.
- `work` runs one listener until the queue is empty.
- `listen` runs a listener until SIGTERM.

`enqueue` and `work` report how long they took and what limited them. The time of `work` begins with the first step and ends when
the last message is settled, audited and moved out of the queue. If an order names databases in `copy`, both also report what they
sent to MongoDB (`bench.write_replay`). For `work` this includes what the listener sends when it starts.
"""

import signal
import sys
import threading
from itertools import islice
from typing import Any

from pymongo import monitoring

from bench.command_log import CommandLog
from bench.no_op_flow import QUEUE, NoOpFlow, no_op_messages
from bench.processor_time import ProcessorMeter
from bench.program import (
    END_SECONDS,
    meter_of,
    open_database,
    process_from_environment,
    read_order,
    report,
    running_listener,
    wait_until,
    wait_until_empty,
)
from bench.write_replay import WriteRecording
from casebridge.database import Database
from resources.wiring.process import Process


def enqueue(process: Process, meter: ProcessorMeter, count: int, batch: int) -> None:
    messages = no_op_messages(count)
    with meter:
        while group := list(islice(messages, batch)):
            process.stores.queue.accept(group)


def work(process: Process, meter: ProcessorMeter, count: int, database: Database) -> None:
    flow = NoOpFlow()
    process.flows[QUEUE] = flow
    with running_listener(process) as listener:
        flow.first_begun.wait(END_SECONDS)
        with meter:
            wait_until(lambda: sum(listener.outcome_counts.outcomes.values()) >= count)
            wait_until_empty(database)


def listen(process: Process, step_seconds: float) -> None:
    process.flows[QUEUE] = NoOpFlow(step_seconds)
    listener, stop = process.listener(), threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    sys.stdout.write(f"Listening as {listener.owner}.\n")
    sys.stdout.flush()
    listener.run(stop)


def measured(order: dict[str, Any]) -> dict[str, Any]:
    """Execute the order `enqueue` or `work`; return the figures."""
    commands = CommandLog(keep_writes="copy" in order)
    with open_database() as database:
        meter = meter_of(order)
        if "copy" in order:
            monitoring.register(commands)
        with process_from_environment() as process:
            process.stores.clock.now()  # connects
            with WriteRecording(commands, database, order.get("copy")) as recorded:
                if order["action"] == "enqueue":
                    enqueue(process, meter, order["count"], order["batch"])
                else:
                    work(process, meter, order["count"], database)
    return {"seconds": meter.seconds, "shares": meter.shares().as_json(), "written": recorded.counts.as_json()}


def main() -> None:
    order = read_order()
    if order["action"] == "listen":
        with process_from_environment() as process:
            listen(process, order["step_seconds"])
    else:
        report(**measured(order))


if __name__ == "__main__":
    main()
