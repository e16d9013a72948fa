"""Command line: ``python -m simulators``. SIGTERM ends it at once, because it keeps all state in memory."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from simulators.server import Ports, serve


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description="FS, WISEflow, LaaS and Slack, simulated")
    parser.add_argument("--host", default="127.0.0.1")
    for name in Ports.__slots__:
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process is gone")
    options = parser.parse_args()
    ports = Ports(**{name: getattr(options, f"{name}_port") for name in Ports.__slots__})
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_DFL)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(options.host, ports, seed=options.seed, with_parent=options.with_parent))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The fast event loop, if the platform has it."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - does not exist on every platform

    return uvloop.Loop


if __name__ == "__main__":
    main()
