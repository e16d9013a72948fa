"""The audit, counted: what was done by which step, and how much of it failed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.dispatched_requests import dispatched_requests
from assets.explanation_answers import explanation_answers
from assets.explanation_requests import explanation_requests
from assets.ownership import FRESHNESS, GROUP, OWNERS
from assets.poll_metadata import ROWS
from assets.registered_explanations import registered_explanations
from assets.standing import standing_metadata
from casebridge.operators.odd import text
from resources.bridge_resource import BridgeResource


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
    counts = wired.audit.counts_since(since)
    return dg.MaterializeResult(
        metadata={
            "since": dg.MetadataValue.timestamp(since),
            "entries": sum(count["entries"] for count in counts),
            "failures": sum(count["entries"] for count in counts if not count["_id"].get("success")),
            "by_step": _table(counts),
            **standing_metadata(wired),
        }
    )


def _last_counted(context: dg.AssetExecutionContext) -> datetime:
    """When this asset was last materialised; the first time, when the run was made."""
    last = context.instance.get_latest_materialization_event(context.asset_key)
    if last is not None:
        return datetime.fromtimestamp(last.timestamp, UTC)
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp if record else datetime.now(UTC)


def _table(counts: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """The failures first, then the most frequent."""
    ordered = sorted(counts, key=lambda count: (count["_id"].get("success") is True, -count["entries"]))
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "submodule": text(count["_id"], "submodule"),
                    "step": text(count["_id"], "step"),
                    "outcome": "done" if count["_id"].get("success") else "failed",
                    "entries": count["entries"],
                }
            )
            for count in ordered[:ROWS]
        ],
        # said explicitly, because an empty table tells no columns
        schema=dg.TableSchema(
            [dg.TableColumn(name) for name in ("submodule", "step", "outcome")] + [dg.TableColumn("entries", "int")]
        ),
    )
