"""Our own program beside the peers': `enqueue` fills the queue, `work` is one listener on it, `listen` one that stays.

The first two report how long they took and what limited them. A run of `work` begins with the first step and ends when the last
message is settled, audited and moved out of the queue. If an order names databases in `copy`, both report what they sent to
MongoDB, too (`bench.write_replay`); of `work` that begins with the start of the listener.
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
    bridge_of_this_process,
    meter_of,
    open_database,
    read_order,
    report,
    running_listener,
    wait_until,
    wait_until_empty,
)
from bench.write_replay import WriteRecording
from casebridge.database import Database
from resources.wiring.bridge import Bridge


def enqueue(bridge: Bridge, meter: ProcessorMeter, count: int, batch: int) -> None:
    messages = no_op_messages(count)
    with meter:
        while group := list(islice(messages, batch)):
            bridge.queue.accept(group)


def work(bridge: Bridge, meter: ProcessorMeter, count: int, database: Database) -> None:
    flow = NoOpFlow()
    bridge.flows[QUEUE] = flow
    with running_listener(bridge) as listener:
        flow.first_begun.wait(END_SECONDS)
        with meter:
            wait_until(lambda: sum(listener.outcome_counts.outcomes.values()) >= count)
            wait_until_empty(database)


def listen(bridge: Bridge, step_seconds: float) -> None:
    bridge.flows[QUEUE] = NoOpFlow(step_seconds)
    listener, stop = bridge.listener(), threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    sys.stdout.write(f"Listening as {listener.owner}.\n")
    sys.stdout.flush()
    listener.run(stop)


def measured(order: dict[str, Any]) -> dict[str, Any]:
    """Do what the order says; return the figures."""
    commands = CommandLog(keep_writes="copy" in order)
    with open_database() as database:
        meter = meter_of(order)
        if "copy" in order:
            monitoring.register(commands)
        with bridge_of_this_process() as bridge:
            bridge.clock.now()  # connects
            with WriteRecording(commands, database, order.get("copy")) as recorded:
                if order["action"] == "enqueue":
                    enqueue(bridge, meter, order["count"], order["batch"])
                else:
                    work(bridge, meter, order["count"], database)
    return {"seconds": meter.seconds, "shares": meter.shares().as_json(), "written": recorded.counts.as_json()}


def main() -> None:
    order = read_order()
    if order["action"] == "listen":
        with bridge_of_this_process() as bridge:
            listen(bridge, order["step_seconds"])
    else:
        report(**measured(order))


if __name__ == "__main__":
    main()
