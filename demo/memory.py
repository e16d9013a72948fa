"""Measures how much memory the demo's processes use together while they work."""

import contextlib
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import psutil

EVERY_SECONDS: Final = 1.0
MEGABYTE: Final = 1024 * 1024


class MemoryMeter:
    """Measures, while its context is open, the peak of each named process and of their sum, in megabytes.

    Child processes count as part of their ancestor. Where the system reports the proportional set size, shared pages count once.
    Elsewhere the resident size is used.
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = {"demo": os.getpid(), **processes}
        self._peaks: dict[str, float] = dict.fromkeys(self._processes, 0.0)
        self._peak_of_all = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure_until_ended, name="memory", daemon=True)

    def __enter__(self) -> "MemoryMeter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def peaks(self) -> dict[str, float]:
        return {**{name: round(peak, 1) for name, peak in self._peaks.items()}, "total": round(self._peak_of_all, 1)}

    def _measure_until_ended(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._measure()

    def _measure(self) -> None:
        counted = set(self._processes.values())
        total = 0.0
        for name, pid in self._processes.items():
            size = _tree_megabytes(pid, counted - {pid})
            self._peaks[name] = max(self._peaks[name], size)
            total += size
        self._peak_of_all = max(self._peak_of_all, total)


def _tree_megabytes(pid: int, others: set[int]) -> float:
    """The memory of a process and its descendants, without the `others`, which are counted under their own names."""
    size = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        size += _megabytes(process)
        for child in process.children():
            if child.pid not in others:
                size += _tree_megabytes(child.pid, others)
    return size


def _megabytes(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / MEGABYTE
    except psutil.AccessDenied:
        return float(process.memory_info().rss) / MEGABYTE
