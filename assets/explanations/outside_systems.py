"""The outside systems as external assets. Dagster never materialises them, but the lineage shows a case's whole way."""

from typing import Final

import dagster as dg

from assets.ownership import GROUP, OWNERS

# Each key has one part: the lineage shows only the last part of a key, and two boxes must not have the same name.
FS_REQUESTS: Final = dg.AssetKey("fs_requests")
FS_EXPLANATIONS: Final = dg.AssetKey("fs_explanations")
WISEFLOW_EXPLANATIONS: Final = dg.AssetKey("wiseflow_explanations")
SLACK_ALERTS: Final = dg.AssetKey("slack_alerts")
LAAS_INDEX: Final = dg.AssetKey("laas_outcomes")
KAFKA_RECORDS: Final = dg.AssetKey("kafka_records")
KAFKA_ANSWERS: Final = dg.AssetKey("kafka_answers")


def outside_systems() -> list[dg.AssetSpec]:
    """Where requests come from, where they go, and where outcomes and alerts are sent."""
    handled = ["dispatched_requests", "registered_explanations"]
    return [
        _external_system(FS_REQUESTS, "fs", "Requests for grade explanations in FS, one per student and exam.", []),
        _external_system(
            WISEFLOW_EXPLANATIONS,
            "wiseflow",
            "Explanation requests in WISEflow, and what the assessors answered.",
            ["dispatched_requests"],
        ),
        _external_system(
            FS_EXPLANATIONS,
            "fs",
            "Explanations registered in FS: what the student reads in Studentweb.",
            ["registered_explanations"],
        ),
        _external_system(
            SLACK_ALERTS, "slack", "Alerts to people: once an hour for each cause of an institution.", handled
        ),
        _external_system(
            LAAS_INDEX, "laas", "Outcomes in the log index: ids, steps and codes, no personal data.", handled
        ),
        _external_system(
            KAFKA_RECORDS, "kafka", "Requests from FS and events of WISEflow that come by Kafka, where it is used.", []
        ),
        _external_system(
            KAFKA_ANSWERS,
            "kafka",
            "What became of each case, and dead letters, on Kafka's topics, where it is used.",
            ["registered_explanations"],
        ),
    ]


def _external_system(key: dg.AssetKey, system: str, description: str, deps: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name=GROUP,
        owners=list(OWNERS),
        kinds={system},
        tags={"casebridge/side": "outside"},
    )
