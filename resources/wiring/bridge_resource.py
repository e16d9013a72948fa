"""Hands the wired process (`bridge.Process`) to Dagster's assets, checks, jobs and sensors, under the key `bridge`.

Nothing is read at import: settings and secrets come from the environment when a run or a tick begins. A run has a bridge of its
own, closed at its end. Sensors, which tick every few seconds in threads of one code server, share the bridge of their
process, so that connections, tokens and caches live from tick to tick.
"""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import dagster as dg
from pydantic import Field, PrivateAttr

from casebridge.settings import Settings
from resources.config_numbers import AtLeastOneOrNone
from resources.wiring.bridge import Bridge as Process
from resources.wiring.observing import observing


class BridgeResource(dg.ConfigurableResource["BridgeResource"]):
    """The bridge of this run, or of this process. Everything else that can be set is in `docs/settings.md`."""

    workers: AtLeastOneOrNone = Field(
        default=None, description="Messages that a run handles side by side; empty: CASEBRIDGE_QUEUE__WORKERS."
    )
    _bridge: Process | None = PrivateAttr(None)

    def get(self) -> Process:
        """The bridge itself; only while Dagster executes something."""
        if self._bridge is None:
            raise RuntimeError("the bridge is there only while Dagster executes a run or a sensor")
        return self._bridge

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["BridgeResource"]:
        """Raises pydantic's `ValidationError`, which names the variable, for settings that cannot be used.

        Raises `StorageError` while the database is newer than this release. Each tick asks: a code server may live for months.
        """
        if context.run is None:
            self._bridge = _kept.bridge()
            self._bridge.storage.check()
            yield self
            return
        settings = self._settings()
        self._bridge = Process(settings)
        try:
            with (
                observing(settings.telemetry, self._bridge.stores),
                self._bridge.storage.processes.at_work("run"),
            ):
                self._bridge.storage.check()
                yield self
        finally:
            self._bridge.close()

    def _settings(self) -> Settings:
        settings = Settings()
        if self.workers is None:
            return settings
        return settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": self.workers})})


class _Kept:
    """The one bridge that the sensors of a process share. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bridge: Process | None = None
        self._observing = ExitStack()

    def bridge(self) -> Process:
        """Built at the first tick; anew if the environment has changed since, which only tests do."""
        settings = Settings()
        with self._lock:
            if self._bridge is not None and self._bridge.settings != settings:
                self._observing.close()
                self._bridge.close()
                self._bridge = None
            if self._bridge is None:
                self._bridge = Process(settings)
                self._observing.enter_context(observing(settings.telemetry, self._bridge.stores))
            return self._bridge


_kept = _Kept()
