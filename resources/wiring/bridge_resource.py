"""Hands the wired process (`bridge.Bridge`) to Dagster's assets, checks, jobs and sensors, under the key `bridge`.

Nothing is read at import: settings and secrets come from the environment when a run or a tick begins. A run has a bridge of its
own, closed at its end. Sensors, which tick every few seconds in threads of one code server, share the bridge of their
process, so that connections, tokens and caches live from tick to tick.
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
from resources.wiring.bridge import Bridge

logger = logging.getLogger(__name__)


class BridgeResource(dg.ConfigurableResource["BridgeResource"]):
    """The bridge of this run, or of this process. Everything else that can be set is in `docs/settings.md`."""

    workers: AtLeastOneOrNone = Field(
        default=None, description="Messages that a run handles side by side; empty: CASEBRIDGE_QUEUE__WORKERS."
    )
    _bridge: Bridge | None = PrivateAttr(None)
    _is_checked: bool = PrivateAttr(False)
    _has_told: bool = PrivateAttr(False)
    _at_work: ExitStack | None = PrivateAttr(None)

    def get(self) -> Bridge:
        """The bridge itself; only while Dagster executes something.

        Each tick and run looks at the storage version here, because a code server may live for months. Raises `StorageError`
        while the database is newer than this release. One that is away is asked at the next call: other steps go on.
        """
        if self._bridge is None:
            raise RuntimeError("the bridge is there only while Dagster executes a run or a sensor")
        if not self._is_checked:
            try:
                self._check(self._bridge)
            except PyMongoError as error:
                logger.warning("the database is away (%s)", type(error).__name__)
        return self._bridge

    def _check(self, bridge: Bridge) -> None:
        """A run tells that it is at work before it looks: a migration sees the run, or the run sees the migration."""
        if self._at_work is not None and not self._has_told:
            self._at_work.enter_context(bridge.storage.processes.at_work("run"))
            self._has_told = True
        bridge.storage.check()
        self._is_checked = True

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["BridgeResource"]:
        """Raises pydantic's `ValidationError`, which names the variable, for settings that cannot be used."""
        self._is_checked = self._has_told = False
        if context.run is None:
            self._at_work = None
            self._bridge = _kept.bridge()
            yield self
            return
        self._bridge = Bridge(self._settings())
        try:
            with ExitStack() as self._at_work:
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
        self._bridge: Bridge | None = None

    def bridge(self) -> Bridge:
        """Built at the first tick; anew if the environment has changed since, which only tests do."""
        settings = Settings()
        with self._lock:
            if self._bridge is not None and self._bridge.settings != settings:
                self._bridge.close()
                self._bridge = None
            if self._bridge is None:
                self._bridge = Bridge(settings)
            return self._bridge


_kept = _Kept()
