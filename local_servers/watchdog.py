"""Ends a group of processes when their parent is gone: run as `python -m local_servers.watchdog FD FOLDER`.

It leads the group. It waits for the end of a pipe whose other end only the parent holds, then removes the state folder and
kills the group, itself included. It uses nothing but the standard library and takes part in nothing else.
"""

import os
import shutil
import signal
import sys
import time


def main(lifeline: int, folder: str) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(lifeline, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(0.2)  # a moment for an orderly end; the next line does not ask
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
