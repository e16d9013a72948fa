"""The result of a batch of the queue as metadata. A listener reports the same names, so that Dagster plots both together."""

import dagster as dg

from assets.poll_metadata import Metadata
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.synchronisation import BatchReport

DRIVER = "dagster"


def batch_metadata(batch: BatchReport) -> Metadata:
    """How many messages were handled, with which result. `failed` is retried automatically; `set_aside` waits for a person."""
    codes = sorted(batch.by_code.items(), key=lambda item: -item[1])[:10]
    return {
        "handled": dg.MetadataValue.int(batch.handled),
        "processed": dg.MetadataValue.int(batch.by_status.get(MessageStatus.PROCESSED.value, 0)),
        "failed": dg.MetadataValue.int(batch.by_status.get(MessageStatus.FAILED.value, 0)),
        "set_aside": dg.MetadataValue.int(batch.by_status.get(MessageStatus.DEAD.value, 0)),
        "codes": dg.MetadataValue.text(", ".join(f"{code}: {messages}" for code, messages in codes) or "none"),
        "driver": dg.MetadataValue.text(DRIVER),
    }
