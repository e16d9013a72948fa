"""The storage version: a number in `oai.storage` that says in which form documents may be stored.

Version 0 is the form of releases before `casebridge migrate`. They have no document in `oai.storage`. A process can read every
older version. It does not start on a newer one: it would misread documents, and write them back in an outdated form.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from casebridge.database import Database
from casebridge.errors import PermanentError

ID: Final = "version"
BEFORE_VERSIONS: Final = 0


class StorageError(PermanentError):
    """The process may not work on the database in its present version. Nothing was changed."""


@dataclass(frozen=True)
class Stored:
    """The version of the database. `target` is the version that an unfinished migration leads to; it may have stopped."""

    version: int = BEFORE_VERSIONS
    target: int | None = None

    @property
    def newest(self) -> int:
        """The newest form in which a document may be stored."""
        return max(self.version, self.target or self.version)


class StorageVersion:
    """Reads and writes the number. `supported` is the version that this release writes."""

    def __init__(self, database: Database, supported: int) -> None:
        self.supported = supported
        self._collection = database.storage

    def read(self) -> Stored:
        """The stored version. Raises `StorageError` if its document cannot be read."""
        document = self._collection.find_one({"_id": ID})
        if document is None:
            return Stored()
        version, target = document.get("version"), document.get("target")
        if not is_version(version) or not (target is None or is_version(target)):
            raise StorageError(
                "casebridge.storage_version_unreadable",
                "The document `version` in oai.storage does not say which storage version the database has.",
                "Restore that document from the backup; or remove it and run `casebridge migrate`, which begins at version 0.",
            )
        return Stored(version, target)

    def check(self) -> Stored:
        """The stored version. Every process calls this before it works.

        Raises `StorageError` if the database is newer than this release, or if its version cannot be read.
        """
        stored = self.read()
        if stored.newest > self.supported:
            raise StorageError(
                "casebridge.storage_newer",
                f"The database has storage version {stored.newest}, and this release of casebridge writes {self.supported}.",
                "Start the newer release; or restore the backup that was made before the upgrade (docs/operating.md, Rollback).",
            )
        return stored

    def announce(self, target: int) -> None:
        """Store that documents may have the form of `target` from now on."""
        self._collection.update_one({"_id": ID}, {"$max": {"version": BEFORE_VERSIONS, "target": target}}, upsert=True)

    def withdraw(self, target: int) -> None:
        """Remove the target: the migration is finished, or it has written nothing."""
        self._collection.update_one({"_id": ID, "target": target}, {"$unset": {"target": ""}})

    def reach(self, version: int) -> None:
        """Store that every document has the form of `version`. The number never decreases."""
        self._collection.update_one({"_id": ID}, {"$max": {"version": version}}, upsert=True)


def is_version(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= BEFORE_VERSIONS
