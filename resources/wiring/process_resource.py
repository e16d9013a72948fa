"""Hands the wired process (`process.Process`) to Dagster's assets, checks, jobs and sensors, under the key `process`.

- Nothing is read at import. Settings and secrets are read from the environment when a run or a tick begins.
- A run has a wired process of its own, which is closed at the run's end.
- The sensors of a code server tick every few seconds, in threads. They share one wired process, so that connections, tokens and
  caches last from tick to tick.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import dagster as dg
from pydantic import Field, PrivateAttr
from pymongo.errors import PyMongoError

from casebridge.settings import Settings
from resources.config_numbers import AtLeastOneOrNone
from resources.wiring.observing import observing
from resources.wiring.process import Process

logger = logging.getLogger(__name__)


class ProcessResource(dg.ConfigurableResource["ProcessResource"]):
    """The wired process of this run, or the one that sensors share. `docs/settings.md` has all other settings."""

    workers: AtLeastOneOrNone = Field(
        default=None, description="Messages that a run handles side by side; empty: CASEBRIDGE_QUEUE__WORKERS."
    )
    _process: Process | None = PrivateAttr(None)
    _is_checked: bool = PrivateAttr(False)
    _is_announced: bool = PrivateAttr(False)
    _at_work: ExitStack | None = PrivateAttr(None)

    def get(self) -> Process:
        """The wired process. Raises `RuntimeError` outside of a run or tick.

        Each run and tick checks the storage version here, because a code server may run for months. Raises `StorageError` while
        the database is newer than this release. If the database is away, the next call checks, and other steps go on.
        """
        if self._process is None:
            raise RuntimeError("the process is there only while Dagster executes a run or a sensor")
        if not self._is_checked:
            try:
                self._check(self._process)
            except PyMongoError as error:
                logger.warning("the database is away (%s)", type(error).__name__)
        return self._process

    def _check(self, process: Process) -> None:
        """Check the storage version. A run first notes that it is at work: it sees a migration, or the migration sees it."""
        if self._at_work is not None and not self._is_announced:
            self._at_work.enter_context(process.storage.processes.at_work("run"))
            self._is_announced = True
        process.storage.check()
        self._is_checked = True

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["ProcessResource"]:
        """Give the run or tick its process. Raises pydantic's `ValidationError`, which names the variable, for bad settings."""
        self._is_checked = self._is_announced = False
        if context.run is None:
            self._at_work = None
            self._process = _kept.process()
            yield self
            return
        settings = self._settings()
        self._process = Process(settings)
        try:
            with observing(settings.telemetry, self._process.stores), ExitStack() as self._at_work:
                yield self
        finally:
            self._process.close()

    def _settings(self) -> Settings:
        settings = Settings()
        if self.workers is None:
            return settings
        return settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": self.workers})})


class _Kept:
    """The wired process that all sensors of this operating-system process share. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._observing = ExitStack()

    def process(self) -> Process:
        """The process, built at the first tick. It is built again if the environment has changed, which only tests do."""
        settings = Settings()
        with self._lock:
            if self._process is not None and self._process.settings != settings:
                self._observing.close()
                self._process.close()
                self._process = None
            if self._process is None:
                self._process = Process(settings)
                self._observing.enter_context(observing(settings.telemetry, self._process.stores))
            return self._process


_kept = _Kept()
