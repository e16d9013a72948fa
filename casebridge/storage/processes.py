"""The processes at work, and the storage version that each writes. `casebridge migrate` refuses to run beside older ones.

- Listeners have a record in `oai.listeners`. It has the version, too.
- Consumers, runs and `sync` have one in `oai.processes`. They are not in `oai.listeners`, because releases from before storage
  versions would count them as listeners there.
- Those releases record their listeners only. Their other processes show only by the messages that they hold.
"""

import logging
import os
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.clock import FAR_AHEAD, Clock
from casebridge.database import Database, Document
from casebridge.defect import log_away_or_defect
from casebridge.storage.version import BEFORE_VERSIONS, is_version

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 10.0
SILENT: Final = timedelta(minutes=1)
"""A process whose record is older than this has ended."""
FORGOTTEN: Final = timedelta(days=1)
VERSION_FIELD: Final = "storageVersion"
OWNER_MARK: Final = "-s"


def owner_of_version(version: int) -> str:
    """A new name for an owner of messages. It contains the storage version, so no write is needed to record that."""
    return f"{uuid.uuid4().hex}{OWNER_MARK}{version}"


def version_of_owner(owner: Any) -> int:
    """The version in the owner's name; `BEFORE_VERSIONS` if it has none, as in releases before storage versions."""
    _, mark, version = owner.rpartition(OWNER_MARK) if isinstance(owner, str) else ("", "", "")
    return int(version) if mark and version.isascii() and version.isdigit() else BEFORE_VERSIONS


class Processes:
    """Reads and writes which processes are at work with the database."""

    def __init__(self, database: Database, clock: Clock, version: int) -> None:
        self._version = version
        self._clock = clock
        self._processes = database.processes
        self._listeners = database.listeners
        self._messages = database.messages

    @contextmanager
    def at_work(self, kind: str) -> Iterator[None]:
        """Record this process while the block runs. The record of a killed process stops counting after `SILENT`."""
        name = uuid.uuid4().hex
        self._processes.delete_many({"seenAt": {"$lt": self._clock.now() - FORGOTTEN}})
        self.announce(name, kind)
        ended = threading.Event()
        heartbeat = threading.Thread(target=self._until_ended, args=(name, kind, ended), name="process", daemon=True)
        heartbeat.start()
        try:
            yield
        finally:
            ended.set()
            heartbeat.join()
            try:
                self._processes.delete_one({"_id": name})
            except Exception as error:  # noqa: BLE001 the record stops counting by itself
                log_away_or_defect(logger, error)

    def older(self) -> dict[str, int]:
        """The number of processes of each kind that are at work and write an older version than this release."""
        now = self._clock.now()
        found: Counter[str] = Counter()
        recent = {"seenAt": {"$gte": now - SILENT, "$lte": now + SILENT}}
        for listener in self._listeners.find(recent, {VERSION_FIELD: 1}):
            found["listener"] += _version(listener) < self._version
        for process in self._processes.find(recent, {VERSION_FIELD: 1, "kind": 1}):
            found[str(process.get("kind"))] += _version(process) < self._version
        found["holder of messages"] += self._older_holders(now)
        return {kind: count for kind, count in found.items() if count}

    def _older_holders(self, now: datetime) -> int:
        """Owners of leased messages that write an older version. So runs of old releases count, which have no record."""
        held = {"status": "processing", "dueAt": {"$gt": now, "$lt": now + FAR_AHEAD}}
        return sum(version_of_owner(owner) < self._version for owner in self._messages.distinct("owner", held))

    def _until_ended(self, name: str, kind: str, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            try:
                self.announce(name, kind)
            except BaseException as error:  # noqa: BLE001 no defect may end the heartbeat of a process that is at work
                log_away_or_defect(logger, error)

    def announce(self, name: str, kind: str) -> None:
        """Record that this process is at work now."""
        entry = {
            "kind": kind,
            "seenAt": self._clock.now(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            VERSION_FIELD: self._version,
        }
        self._processes.update_one({"_id": name}, {"$set": entry}, upsert=True)


def _version(document: Document) -> int:
    version = document.get(VERSION_FIELD)
    return version if is_version(version) else BEFORE_VERSIONS
