"""The storage of a process: whether it may work on the database, which others are at work, and the migrations."""

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
    """Thread-safe. The last of `migrations` gives the version that this release writes."""

    def __init__(self, database: Database, clock: Clock, migrations: Iterable[Migration]) -> None:
        self.migrations = in_order(migrations)
        self.version = StorageVersion(database, len(self.migrations))
        self.processes = Processes(database, clock, self.version.supported)
        self._database = database

    def check(self) -> None:
        """Raises `StorageError` if this process may not work on the database. One small read."""
        self.version.check()

    def entry(self) -> dict[str, int]:
        """The fields that a listener adds to its record in `oai.listeners`."""
        return {VERSION_FIELD: self.version.supported}

    def start_empty(self) -> None:
        """Set the version of this release in a database without messages and cases: nothing there has an old form."""
        used = (self._database.messages, self._database.processed_messages, self._database.cases)
        if all(collection.find_one({}, {"_id": 1}) is None for collection in used):
            self.version.reach(self.version.supported)

    def missing(self) -> tuple[Migration, ...]:
        """The steps that the database lacks. Raises `StorageError` if it is newer than this release."""
        version = self.version.check().version
        return tuple(migration for migration in self.migrations if migration.number > version)

    def migrate(self, report: Callable[[Migration, Progress], None]) -> tuple[Migration, ...]:
        """Run the missing steps in order, and return them. May be ended at any point, repeated, and run twice at once.

        `report` is called after each batch. Raises `StorageError` if the database is newer, or while a process of an older
        version is at work.
        """
        missing = self.missing()
        if not missing:
            return ()
        target = self.version.supported
        self.refuse_older_processes()
        was_begun = self.version.read().target is not None
        self.version.announce(target)
        try:
            # Checked again: a process that started before the announcement has a record by now.
            self.refuse_older_processes()
        except StorageError:
            if not was_begun:
                self.version.withdraw(target)
            raise
        for migration in missing:
            logger.info("migration %s begins: %s", migration.number, migration.name)
            for progress in migration.run(self._database):
                logger.info("migration %s: %s of %s documents", migration.number, progress.done, progress.total)
                report(migration, progress)
            self.version.reach(migration.number)
        self.version.withdraw(target)
        return missing

    def refuse_older_processes(self) -> None:
        """Raises `StorageError` while a process of an older version is at work, as far as that can be seen."""
        older = self.processes.older()
        if older:
            report = ", ".join(f"{count} {KINDS.get(kind, 'others')}" for kind, count in sorted(older.items()))
            raise StorageError(
                "casebridge.older_process_at_work",
                f"Processes of an older release are at work: {report}.",
                "Stop them, wait a minute, and run `casebridge migrate` again (docs/operating.md, Upgrade). Nothing was changed.",
            )
