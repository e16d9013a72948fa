"""What the programs of the benchmark share: an order as JSON on the command line, one JSON object as the last line."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.processor_time import ProcessorMeter
from casebridge.settings import Settings
from resources.bridge import Bridge


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
    bridge = Bridge(Settings())
    try:
        yield bridge
    finally:
        bridge.close()
