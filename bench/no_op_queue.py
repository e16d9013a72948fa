"""Our own program beside the peers': `enqueue` fills the inbox, `work` is one listener on it, `listen` one that stays.

The first two tell how long they took and what bound them. A run of `work` begins with the first step and ends when the last
message is settled, audited and moved out of the queue.
"""

import signal
import sys
import threading
from itertools import islice

from bench.no_op_flow import QUEUE, NoOpFlow, no_op_messages
from bench.processor_time import ProcessorMeter
from bench.program import (
    END_SECONDS,
    bridge_of_this_process,
    meter_of,
    order,
    running_listener,
    tell,
    wait_until,
)
from resources.wiring.bridge import Bridge


def enqueue(bridge: Bridge, meter: ProcessorMeter, count: int, batch: int) -> None:
    bridge.clock.now()  # connects
    messages = no_op_messages(count)
    with meter:
        while group := list(islice(messages, batch)):
            bridge.queue.accept(group)


def work(bridge: Bridge, meter: ProcessorMeter, count: int) -> None:
    flow = NoOpFlow()
    bridge.flows[QUEUE] = flow
    with running_listener(bridge) as listener:
        flow.first_begun.wait(END_SECONDS)
        with meter:
            wait_until(lambda: sum(listener.outcome_counts.outcomes.values()) >= count)
            wait_until(lambda: bridge.database.messages.find_one({}, {"_id": 1}) is None)


def listen(bridge: Bridge, step_seconds: float) -> None:
    bridge.flows[QUEUE] = NoOpFlow(step_seconds)
    listener, stop = bridge.listener(), threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    sys.stdout.write(f"Listening as {listener.owner}.\n")
    sys.stdout.flush()
    listener.run(stop)


def main() -> None:
    asked = order()
    meter = meter_of(asked)
    with bridge_of_this_process() as bridge:
        if asked["action"] == "listen":
            listen(bridge, asked["step_seconds"])
            return
        if asked["action"] == "enqueue":
            enqueue(bridge, meter, asked["count"], asked["batch"])
        else:
            work(bridge, meter, asked["count"])
    tell(seconds=meter.seconds, cores=meter.shares().cores)


if __name__ == "__main__":
    main()
