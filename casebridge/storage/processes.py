"""Which processes are at work, and which storage version they write: `casebridge migrate` waits for the older ones to end.

Listeners say so in `oai.listeners`, with the rest of what they tell. Consumers, runs and `sync` say so in `oai.processes`.
Releases before storage versions do not read that: they would count whoever stands in `oai.listeners` as a listener. Those
releases tell of their listeners only. Of their other processes only the messages that they hold can be seen.
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
"""Who has not been heard of for so long is gone."""
FORGOTTEN: Final = timedelta(days=1)
VERSION_FIELD: Final = "storageVersion"
OWNER_MARK: Final = "-s"


def owner_of_version(version: int) -> str:
    """A new owner of messages, whose name says which storage version it writes: costs no write."""
    return f"{uuid.uuid4().hex}{OWNER_MARK}{version}"


def version_of_owner(owner: Any) -> int:
    """The version in the owner's name; owners of releases before storage versions have none."""
    _, mark, version = owner.rpartition(OWNER_MARK) if isinstance(owner, str) else ("", "", "")
    return int(version) if mark and version.isascii() and version.isdigit() else BEFORE_VERSIONS


class Processes:
    """Reads and writes who is at work with the database."""

    def __init__(self, database: Database, clock: Clock, version: int) -> None:
        self._version = version
        self._clock = clock
        self._processes = database.processes
        self._listeners = database.listeners
        self._messages = database.messages

    @contextmanager
    def at_work(self, kind: str) -> Iterator[None]:
        """Stand among the processes for as long as the block runs. A killed process is gone after `SILENT`."""
        name = uuid.uuid4().hex
        self._processes.delete_many({"seenAt": {"$lt": self._clock.now() - FORGOTTEN}})
        self.tell(name, kind)
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
            except Exception as error:  # noqa: BLE001 the entry ends by itself
                log_away_or_defect(logger, error)

    def older(self) -> dict[str, int]:
        """How many of each kind are at work and write a version before that of this release."""
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
        """Whoever holds a message under a lease, a run of a release that tells nothing else of itself included."""
        held = {"status": "processing", "dueAt": {"$gt": now, "$lt": now + FAR_AHEAD}}
        return sum(version_of_owner(owner) < self._version for owner in self._messages.distinct("owner", held))

    def _until_ended(self, name: str, kind: str, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            try:
                self.tell(name, kind)
            except BaseException as error:  # noqa: BLE001 no defect may end the heartbeat of a process that is at work
                log_away_or_defect(logger, error)

    def tell(self, name: str, kind: str) -> None:
        """Say that this process is at work now."""
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
