"""What the programs of the benchmark share: an order as JSON on the command line, one JSON object as the last line."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bench.processor_time import ProcessorMeter
from casebridge.messaging.listener.listener import Listener
from casebridge.settings import Settings
from resources.telemetry.observing import observing
from resources.wiring.bridge import Bridge

LOOK_EVERY_SECONDS: Final = 0.01
END_SECONDS: Final = 1500.0


def order() -> dict[str, Any]:
    """What `Installation.run` asks for."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def tell(**figures: Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def meter_of(order: Mapping[str, Any]) -> ProcessorMeter:
    """Measures this process, and the servers whose process ids the order names."""
    return ProcessorMeter({"casebridge": os.getpid(), **order["servers"]})


@contextmanager
def bridge_of_this_process() -> Iterator[Bridge]:
    """The bridge as the environment variables say."""
    settings = Settings()
    bridge = Bridge(settings)
    try:
        with observing(settings.telemetry, bridge.names, bridge.database, bridge.clock, is_scraped=True):
            yield bridge
    finally:
        bridge.close()


@contextmanager
def running_listener(bridge: Bridge) -> Iterator[Listener]:
    """A listener at work in a thread of this process; how long it takes to end is not measured."""
    listener, stop = bridge.listener(), threading.Event()
    running = threading.Thread(target=listener.run, args=(stop,), name="listener")
    running.start()
    try:
        yield listener
    finally:
        stop.set()
        running.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look often and cheaply. Raises `TimeoutError` when it lasts longer than any measurement."""
    deadline = time.monotonic() + END_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {END_SECONDS:.0f} s")
        time.sleep(LOOK_EVERY_SECONDS)
