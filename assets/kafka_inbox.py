"""The unread records in Kafka, and the check that consumers keep up with them.

Materialising only reads; `casebridge consume` handles the records. If Kafka is off or unreachable, the asset does not fail,
because everything else works without Kafka. The check reports that Kafka is unreachable.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Final

import dagster as dg

from assets.explanations.outside_systems import KAFKA_RECORDS
from assets.ownership import GROUP, OWNERS
from assets.poll_metadata import ROWS
from assets.status_metadata import status_metadata
from resources.wiring.process_resource import ProcessResource

if TYPE_CHECKING:  # the module imports kafka-python, which is needed only where Kafka is used
    from resources.kafka.lag import KafkaStatus

OFF: Final = "Kafka is off: CASEBRIDGE_KAFKA__BOOTSTRAP_SERVERS is not set."
HOW_TO_RECOVER: Final = dg.MetadataValue.md(
    "- **Nothing reads**: start `casebridge consume`, one or more; its log says which partitions it has.\n"
    "- **It reads and lags**: start another (as many as there are partitions), or look at the database's load.\n"
    "- **Kafka is away**: consumers and producers go on by themselves when it is back; FS and WISEflow are polled as ever.\n"
    "- More: `docs/kafka.md`.\n"
)


@dg.asset(
    deps=[KAFKA_RECORDS],
    group_name=GROUP,
    owners=list(OWNERS),
    kinds={"kafka", "mongodb"},
    tags={"casebridge/side": "way_there"},
)
def kafka_inbox(process: ProcessResource) -> dg.MaterializeResult[None]:
    """Unread records of the topics that are consumed, by partition, and since when the oldest waits."""
    wired = process.get()
    status = wired.kafka.status()
    now = status_metadata(wired)
    if status is None:
        return dg.MaterializeResult(metadata={**now, "kafka": OFF})
    if status.away:
        return dg.MaterializeResult(metadata={**now, "kafka": status.away, "how_to_recover": HOW_TO_RECOVER})
    return dg.MaterializeResult(
        metadata={
            **now,
            "kafka": "there",
            "unread": status.unread,
            "partitions": _table(status),
            "how_to_recover": HOW_TO_RECOVER,
        }
    )


@dg.asset_check(asset=kafka_inbox)
def kafka_lag(process: ProcessResource) -> dg.AssetCheckResult:
    """No partition has more unread records than CASEBRIDGE_KAFKA__MAXIMUM_LAG. Where Kafka is off there is nothing to check."""
    wired = process.get()
    status = wired.kafka.status()
    allowed = wired.settings.kafka.maximum_lag
    if status is None:
        return dg.AssetCheckResult(passed=True, description=OFF, metadata={"kafka": OFF})
    late = [lag for lag in status.partitions if lag.unread > allowed]
    named = ", ".join(f"{lag.topic}|{lag.partition}: {lag.unread}" for lag in late[:ROWS])
    if status.away:
        description = f"Kafka cannot be asked ({status.away}); nothing is lost meanwhile. Next: {status.next_action}."
    elif late:
        description = (
            f"More than {allowed} records are unread ({named}). "
            "Next: see that `casebridge consume` runs, and what its log says."
        )
    else:
        description = f"{status.unread} records are unread, in no partition more than {allowed}."
    return dg.AssetCheckResult(
        passed=not status.away and not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "kafka": status.away or "there",
            "unread": status.unread,
            "late_partitions": len(late),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


def _table(status: "KafkaStatus") -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "topic": lag.topic,
                    "partition": lag.partition,
                    "unread": lag.unread,
                    "oldest_unread": _time_text(lag.oldest_unread),
                }
            )
            for lag in sorted(status.partitions, key=lambda lag: -lag.unread)[:ROWS]
        ]
    )


def _time_text(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
