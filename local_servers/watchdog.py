"""Ends a group of processes when their parent is gone. It is run as `python -m local_servers.watchdog FD FOLDER`.

It is the leader of the group. It reads a pipe whose other end only the parent has open. When the pipe ends, it removes the state
folder and kills the group, including itself. It uses only the standard library.
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
    time.sleep(0.2)  # time for an orderly end before the kill
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
