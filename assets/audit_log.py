"""The audit, counted: what was done by which step, and how much of it failed."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from assets.dispatched_requests import dispatched_requests
from assets.explanation_answers import explanation_answers
from assets.explanation_requests import explanation_requests
from assets.ownership import FRESHNESS, GROUP, OWNERS
from assets.poll_metadata import ROWS, cut
from assets.registered_explanations import registered_explanations
from assets.status_metadata import status_metadata
from casebridge.operators import stored_fields
from resources.wiring.bridge import Bridge
from resources.wiring.bridge_resource import BridgeResource

Step = tuple[bool, str, str]
"""Whether it succeeded, the submodule and the step."""
MOST_STEPS: Final = 200
OTHER: Final = "other"


@dg.asset(
    deps=[explanation_requests, dispatched_requests, explanation_answers, registered_explanations],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"mongodb"},
    tags={"casebridge/side": "audit"},
    freshness_policy=FRESHNESS,
)
def audit_log(context: dg.AssetExecutionContext, bridge: BridgeResource) -> dg.MaterializeResult[None]:
    """Entries of the audit log (`oai.auditLog`) since this asset was last materialised, by submodule and step.

    The entries themselves stay in MongoDB, which is inside the fence; `casebridge where CORRELATION_ID` shows those of a case.
    """
    since = _last_counted(context)
    wired = bridge.get()
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


def counted(bridge: Bridge, since: datetime) -> tuple[Mapping[Step, int], int, int]:
    """The entries of each step, of all, and of those that failed. What our releases write are some dozens of steps."""
    counts, entries, failures = Counter[Step](), 0, 0
    for count in bridge.audit.counts_since(since):
        key = stored_fields.mapping(count, "_id")
        success = key.get("success") is True
        step = (success, bridge.names.submodule(key.get("submodule")), stored_fields.text(key, "step"))
        entries += count["entries"]
        failures += 0 if success else count["entries"]
        counts[step if step in counts or len(counts) < MOST_STEPS else (success, OTHER, OTHER)] += count["entries"]
    return counts, entries, failures


def _last_counted(context: dg.AssetExecutionContext) -> datetime:
    """When this asset was last materialised; the first time, when the run was made."""
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
        # said explicitly, because an empty table tells no columns
        schema=dg.TableSchema(
            [dg.TableColumn(name) for name in ("submodule", "step", "outcome")] + [dg.TableColumn("entries", "int")]
        ),
    )
