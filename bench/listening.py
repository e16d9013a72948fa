"""`casebridge listen`, with its commands timed: `python -m bench.listening FILE`. Only for a server that is given by address.

The process that measures is another one. So this one writes its times into the file, ten times a second.
"""

import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pymongo import monitoring

from bench.command_log import CommandTimer, CommandTimes

EVERY_SECONDS: Final = 0.1


class CommandTimesFile:
    """The times of another process. They are as old as a tenth of a second."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, times: CommandTimes) -> None:
        """At once: a reader finds the file before or after, never a part."""
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(asdict(times)))
        written.replace(self._path)

    def times(self) -> CommandTimes:
        """Raises `FileNotFoundError` before the other process has begun."""
        return CommandTimes(**json.loads(self._path.read_text()))


def main() -> None:
    file, timer, ended = CommandTimesFile(Path(sys.argv[1])), CommandTimer(), threading.Event()
    file.write(timer.times())
    monitoring.register(timer)
    from command_line.main import main as casebridge  # noqa: PLC0415 - no client may be made before

    def write() -> None:
        while not ended.wait(EVERY_SECONDS):
            file.write(timer.times())

    writer = threading.Thread(target=write, name="command times", daemon=True)
    writer.start()
    sys.argv[1:] = ["listen"]
    try:
        casebridge()
    finally:
        ended.set()


if __name__ == "__main__":
    main()
