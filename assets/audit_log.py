"""Counts the entries of the audit log by step, and how many of them failed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from assets.ownership import FRESHNESS, GROUP, OWNERS
from assets.poll_metadata import ROWS, cut
from assets.status_metadata import status_metadata
from casebridge.operators import stored_fields
from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource

Step = tuple[bool, str, str]
"""Whether it succeeded, the submodule and the step."""
MOST_STEPS: Final = 200
OTHER: Final = "other"


def audit_log_after(assets: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """The asset `audit_log`. `assets` are materialised before it, so that it counts what they did."""

    @dg.asset(
        deps=list(assets),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"mongodb"},
        tags={"casebridge/side": "audit"},
        freshness_policy=FRESHNESS,
    )
    def audit_log(context: dg.AssetExecutionContext, process: ProcessResource) -> dg.MaterializeResult[None]:
        """Entries of the audit log (`oai.auditLog`) since this asset was last materialised, by submodule and step.

        The entries themselves stay in MongoDB. `casebridge where CORRELATION_ID` shows those of a case.
        """
        return _report(context, process)

    return audit_log


def _report(context: dg.AssetExecutionContext, process: ProcessResource) -> dg.MaterializeResult[None]:
    since = _last_counted(context)
    wired = process.get()
    counts, entries, failures = counted(wired, since)
    return dg.MaterializeResult(
        metadata={
            "since": dg.MetadataValue.timestamp(since),
            "entries": entries,
            "failures": failures,
            "by_step": _table(counts),
            **cut("by_step", len(counts), "`casebridge where CORRELATION_ID`, which shows the steps of a case"),
            **status_metadata(wired),
        }
    )


def counted(process: Process, since: datetime) -> tuple[Mapping[Step, int], int, int]:
    """Return the number of entries of each step, of all entries, and of those that failed.

    Our releases write some dozens of different steps. Beyond `MOST_STEPS`, entries are counted as `OTHER`.
    """
    counts, entries, failures = Counter[Step](), 0, 0
    for count in process.stores.audit.counts_since(since):
        key = stored_fields.mapping(count, "_id")
        success = key.get("success") is True
        step = (success, process.stores.names.submodule(key.get("submodule")), stored_fields.text(key, "step"))
        entries += count["entries"]
        failures += 0 if success else count["entries"]
        counts[step if step in counts or len(counts) < MOST_STEPS else (success, OTHER, OTHER)] += count["entries"]
    return counts, entries, failures


def _last_counted(context: dg.AssetExecutionContext) -> datetime:
    """When this asset was last materialised. Before the first materialisation: when the run was created."""
    last = context.instance.get_latest_materialization_event(context.asset_key)
    if last is not None:
        return datetime.fromtimestamp(last.timestamp, UTC)
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp if record else datetime.now(UTC)


def _table(counts: Mapping[Step, int]) -> dg.TableMetadataValue:
    """The failures first, then the most frequent."""
    ordered = sorted(counts.items(), key=lambda count: (count[0][0], -count[1]))
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {"submodule": submodule, "step": step, "outcome": "done" if success else "failed", "entries": entries}
            )
            for (success, submodule, step), entries in ordered[:ROWS]
        ],
        # stated explicitly, because Dagster cannot derive columns from an empty table
        schema=dg.TableSchema(
            [dg.TableColumn(name) for name in ("submodule", "step", "outcome")] + [dg.TableColumn("entries", "int")]
        ),
    )
