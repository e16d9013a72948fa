"""Removes Dagster's old runs with their events, and keeps those that something still needs.

It uses Dagster's public interface, with two exceptions: the latest results of partitions and of checks are read from the event
log, because there is no public interface for them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from casebridge.settings import RetentionSettings

ENDED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
RUN_KEY: Final = "dagster/run_key"
PARTITION: Final = "dagster/partition"
RECORDS_AT_ONCE: Final = 500


class Needed(StrEnum):
    """Why an old run stays."""

    RUN_KEY = "run_key"
    """Its run key is needed: a sensor must not request the run again. Dagster knows a run key only as long as the run exists."""
    HISTORY = "history"
    """It has the latest result that is shown for an asset, a partition or a check."""
    LAST_OF_PARTITION = "last_of_partition"
    """It is the last attempt at its partition, successful or not."""


@dataclass
class RunsRemoved:
    """Old runs: how many may be removed, how many were (none in a dry run), and why the others stay."""

    found: int = 0
    removed: int = 0
    needed: Counter[Needed] = field(default_factory=Counter)


class OldRuns:
    """Removes old runs. It may be repeated, and killed at any time: each pass begins with the oldest run that is left."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        settings: RetentionSettings,
        checks: Sequence[dg.AssetCheckKey],
        now: datetime,
    ) -> None:
        self._instance = instance
        self._before = now - timedelta(days=settings.dagster_run_days)
        self._run_keys_before = now - timedelta(days=settings.dagster_run_key_days)
        self._page = settings.batch_size
        self._checks = checks

    def remove(self, *, dry_run: bool) -> RunsRemoved:
        # Read once: a run that is not the latest now cannot become the latest, because later events come from later runs.
        history = runs_with_history(self._instance, self._checks)
        outcome = RunsRemoved()
        last_kept: str | None = None
        while page := self._oldest(last_kept):
            for record in page:
                why = self._needed(record, history)
                if why:
                    outcome.needed[why] += 1
                else:
                    outcome.found += 1
                    if not dry_run:
                        self._delete(record.dagster_run.run_id)
                        outcome.removed += 1
                if why or dry_run:
                    last_kept = record.dagster_run.run_id  # a removed run cannot serve as the cursor of the next page
        return outcome

    def _oldest(self, after: str | None) -> Sequence[dg.RunRecord]:
        filters = dg.RunsFilter(statuses=list(ENDED), created_before=self._before)
        return self._instance.get_run_records(filters, limit=self._page, cursor=after, ascending=True)

    def _needed(self, record: dg.RunRecord, history: frozenset[str]) -> Needed | None:
        run = record.dagster_run
        if run.run_id in history:
            return Needed.HISTORY
        if RUN_KEY in run.tags and record.create_timestamp >= self._run_keys_before:
            return Needed.RUN_KEY
        if partition := run.tags.get(PARTITION):
            same = dg.RunsFilter(job_name=run.job_name, tags={PARTITION: partition})
            if any(last.dagster_run.run_id == run.run_id for last in self._instance.get_run_records(same, limit=1)):
                return Needed.LAST_OF_PARTITION
        return None

    def _delete(self, run_id: str) -> None:
        self._instance.delete_run(run_id)
        storage = self._instance.event_log_storage
        if isinstance(storage, SqliteEventLogStorage):
            # Dagster empties the run's own file but does not delete it: 130 kB each.
            shard = Path(storage.path_for_shard(run_id))
            for path in (shard, shard.with_name(f"{shard.name}-wal"), shard.with_name(f"{shard.name}-shm")):
                path.unlink(missing_ok=True)


def runs_with_history(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> frozenset[str]:
    """The runs with the latest results. Without them, the UI would show an asset, a partition or a check as if it never ran."""
    runs: set[str | None] = set()
    for record in instance.get_asset_records():
        entry = record.asset_entry
        runs.add(entry.last_run_id)
        runs.update(event.run_id for event in (entry.last_materialization, entry.last_observation) if event)
        runs.update(_latest_observation(instance, entry.asset_key))
        runs.update(_latest_of_partitions(instance, entry.asset_key))
    infos = instance.event_log_storage.get_asset_check_partition_info(list(checks))
    runs.update(info.latest_planned_run_id for info in infos)
    return frozenset(run for run in runs if run)


def _latest_observation(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[str]:
    return [record.run_id for record in instance.fetch_observations(asset, limit=1).records]


def _latest_of_partitions(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[str]:
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    for ids in _in_groups(sorted(latest.values())):
        found = instance.fetch_materializations(dg.AssetRecordsFilter(asset, storage_ids=ids), limit=len(ids))
        yield from (record.run_id for record in found.records)


def _in_groups(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + RECORDS_AT_ONCE] for start in range(0, len(ids), RECORDS_AT_ONCE))
