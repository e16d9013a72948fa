"""What a process needs to know of the storage: whether it may work on it, who else is at work, and how to bring it up to date."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.storage.migration import Migration, Progress, in_order
from casebridge.storage.processes import VERSION_FIELD, Processes
from casebridge.storage.version import StorageError, StorageVersion

logger = logging.getLogger(__name__)

KINDS: Final = {
    "listener": "listeners",
    "consumer": "consumers",
    "run": "runs of Dagster",
    "sync": "commands `sync`",
    "holder of messages": "processes that hold messages",
}


class Storage:
    """Thread-safe. The newest of `migrations` is the version that this release writes."""

    def __init__(self, database: Database, clock: Clock, migrations: Iterable[Migration]) -> None:
        self.migrations = in_order(migrations)
        self.version = StorageVersion(database, len(self.migrations))
        self.processes = Processes(database, clock, self.version.supported)
        self._database = database

    def check(self) -> None:
        """Raises `StorageError` if this process may not work on the database. One small read."""
        self.version.check()

    def entry(self) -> dict[str, int]:
        """What a listener adds to its entry in `oai.listeners`."""
        return {VERSION_FIELD: self.version.supported}

    def start_empty(self) -> None:
        """A database without messages and cases has nothing in an old form: it begins at the version of this release."""
        used = (self._database.messages, self._database.processed_messages, self._database.cases)
        if all(collection.find_one({}, {"_id": 1}) is None for collection in used):
            self.version.reach(self.version.supported)

    def missing(self) -> tuple[Migration, ...]:
        """The steps that the database lacks."""
        version = self.version.check().version
        return tuple(migration for migration in self.migrations if migration.number > version)

    def migrate(self, told: Callable[[Migration, Progress], None]) -> tuple[Migration, ...]:
        """Run the steps that are missing, in order, and return them. May be broken off, run again, and run twice at once.

        Raises `StorageError` if the database is newer, or while a process of an older version is at work. `told` hears of each
        batch.
        """
        missing = self.missing()
        if not missing:
            return ()
        target = self.version.supported
        self.refuse_older_processes()
        was_begun = self.version.read().target is not None
        self.version.announce(target)
        try:
            # Once more: who started before it could see the announcement has told of itself by now.
            self.refuse_older_processes()
        except StorageError:
            if not was_begun:
                self.version.withdraw(target)
            raise
        for migration in missing:
            logger.info("migration %s begins: %s", migration.number, migration.name)
            for progress in migration.run(self._database):
                logger.info("migration %s: %s of %s documents", migration.number, progress.done, progress.total)
                told(migration, progress)
            self.version.reach(migration.number)
        self.version.withdraw(target)
        return missing

    def refuse_older_processes(self) -> None:
        """Raises `StorageError` while a process of an older version is at work, as far as it tells of itself."""
        older = self.processes.older()
        if older:
            told = ", ".join(f"{count} {KINDS.get(kind, 'others')}" for kind, count in sorted(older.items()))
            raise StorageError(
                "casebridge.older_process_at_work",
                f"Processes of an older release are at work: {told}.",
                "Stop them, wait a minute, and run `casebridge migrate` again (docs/operating.md, Upgrade). Nothing was changed.",
            )
