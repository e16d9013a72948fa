"""`casebridge listen` with timed commands: `python -m bench.listening FILE`. Used only for a server that is given by address.

Another process measures. So this process writes its times to the file, ten times a second.
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
    """A file with the command times of a process. They are at most a tenth of a second old."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, times: CommandTimes) -> None:
        """Replace the file in one step, so that a reader never sees a part of it."""
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(asdict(times)))
        written.replace(self._path)

    def times(self) -> CommandTimes:
        """Read the times. Raises `FileNotFoundError` before the other process has begun."""
        return CommandTimes(**json.loads(self._path.read_text()))


def main() -> None:
    file, timer, ended = CommandTimesFile(Path(sys.argv[1])), CommandTimer(), threading.Event()
    file.write(timer.times())
    monitoring.register(timer)
    from command_line.main import main as casebridge  # noqa: PLC0415 - no client may be created before `register`

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
