"""Removes old events that were reported to Dagster without a run: what sensors and listeners did, and how fresh assets were.

Dagster has no interface for that: `delete_run` removes the events of one run, and `wipe_assets` an asset's whole history. So
this module uses SQL on Dagster's tables, as Dagster's own guide to database tuning does. No other module does so. A test
checks it against the version in the lock file.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy.engine import Connection

from casebridge.settings import RetentionSettings

RUNLESS: Final = ""
"""The run id of an event that belongs to no run."""

events: Final = SqlEventLogStorageTable.c
Connect = Callable[[], AbstractContextManager[Connection]]


class StorageUnknownError(Exception):
    """Dagster keeps its events in a storage that this module does not know."""


class RunlessEvents:
    """Removes old events without a run. It may be repeated, and killed at any time. Each asset's latest events always stay."""

    def __init__(self, instance: dg.DagsterInstance, settings: RetentionSettings, now: datetime) -> None:
        """Raises `StorageUnknownError` for anything but SQLite or PostgreSQL (`orchestration.storage`)."""
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            raise StorageUnknownError(f"events are kept in {type(storage).__name__}, not in SQLite or PostgreSQL")
        self._storage = storage
        # As Dagster stores times: UTC without a time zone.
        self._before = (now - timedelta(days=settings.dagster_event_days)).astimezone(UTC).replace(tzinfo=None)
        self._group = settings.batch_size

    def remove(self, *, dry_run: bool) -> int:
        """Return how many events may be removed. A dry run removes none."""
        found = 0
        for ids in self._old(self._storage.index_connection):
            found += len(ids)
            if not dry_run:
                self._delete(self._storage.index_connection, ids)
        if self._storage.is_run_sharded and not dry_run:
            # SQLite keeps each event twice: in the index of assets, and in a file for its run. Events without a run share one.
            def shard() -> AbstractContextManager[Connection]:
                connection: AbstractContextManager[Connection] = self._storage.run_connection(RUNLESS)
                return connection

            for ids in self._old(shard, spare_latest=False):
                self._delete(shard, ids)
        return found

    def _old(self, connect: Connect, *, spare_latest: bool = True) -> Iterator[list[int]]:
        """Ids of old events, in groups, in order of id, which is also the order of time. Each group takes one short read."""
        after = -1
        columns = (events.id, events.timestamp, events.asset_key, events.dagster_event_type, events.partition)
        while True:
            query = (
                db.select(*columns)
                .where(events.run_id == RUNLESS, events.id > after)
                .order_by(events.id)
                .limit(self._group)
            )
            with connect() as connection:
                rows = connection.execute(query).fetchall()
                old = [row for row in rows if row.timestamp < self._before]
                latest = _latest(connection, {tuple(row[2:]) for row in old}) if spare_latest else set()
            yield [row.id for row in old if row.id not in latest]
            if not rows or len(old) < len(rows):
                return
            after = rows[-1].id

    @staticmethod
    def _delete(connect: Connect, ids: list[int]) -> None:
        with connect() as connection:
            connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(ids)))
            connection.execute(SqlEventLogStorageTable.delete().where(events.id.in_(ids)))


def _latest(connection: Connection, kinds: set[tuple[Any, ...]]) -> set[int]:
    """The latest event for each asset, type and partition in `kinds`, with or without a run. Each query uses an index."""
    newest = set()
    for asset, event_type, partition in kinds:
        query = db.select(db.func.max(events.id)).where(
            events.asset_key == asset,
            events.dagster_event_type == event_type,
            events.partition.is_(None) if partition is None else events.partition == partition,
        )
        newest.add(connection.execute(query).scalar_one_or_none())
    return {found for found in newest if found is not None}
