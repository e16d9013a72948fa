"""Counts the jobs that a worker has done, and measures the time from the first to the last. Start-up time is not included."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable

END_SECONDS = 600.0

_lock = threading.Lock()
_done = 0
_first = 0.0
_wanted = 0
_all_done = threading.Event()


def expect(count: int) -> None:
    global _wanted  # noqa: PLW0603 - one worker a process, and the job must be a plain function
    _wanted = count


def job_done() -> None:
    """The whole work of a no-op job: it is counted."""
    global _done, _first  # noqa: PLW0603
    with _lock:
        if not _done:
            _first = time.perf_counter()
        _done += 1
        if _done == _wanted:
            report(time.perf_counter() - _first)
            _all_done.set()


def wait() -> None:
    if not _all_done.wait(END_SECONDS):
        sys.exit("not all jobs were done")


def end_after_the_last_job() -> None:
    """For workers that never return: end the process when the last job is done."""

    def end() -> None:
        os._exit(0 if _all_done.wait(END_SECONDS) else 1)

    threading.Thread(target=end, daemon=True).start()


def timed(enqueue: Callable[[], object]) -> None:
    """Report how long `enqueue` took."""
    began = time.perf_counter()
    enqueue()
    report(time.perf_counter() - began)


def report(seconds: float) -> None:
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")
    sys.stdout.flush()


def order() -> tuple[str, int, str]:
    """What the command line asks for: `enqueue` or `work`, how many jobs, and the address of the server."""
    action, count, url = sys.argv[1:4]
    expect(int(count) if action == "work" else 0)
    return action, int(count), url
