"""Sees to the queue when nobody else does: the listener is gone, or leaves messages lying."""

from typing import Final

import dagster as dg

from resources.bridge_resource import BridgeResource
from sensors.backlog import batch_under_way, look_at_backlog
from sensors.cursor import Cursor

NAME: Final = "backlog_sensor"
SECONDS: Final = 60


def backlog_sensor(batch_job: dg.JobDefinition) -> dg.SensorDefinition:
    """Retries and replays become due without a poll; without a listener this sensor is what finds them."""

    @dg.sensor(
        name=NAME,
        description="Starts a batch of the queue when messages are due and no listener takes them.",
        job=batch_job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tick(context: dg.SensorEvaluationContext, bridge: BridgeResource) -> dg.SensorResult:
        cursor, backlog = Cursor.read(context.cursor), look_at_backlog(bridge.get())
        if not backlog.batch_needed:
            return dg.SensorResult(skip_reason=backlog.told, cursor=cursor.write())
        if batch_under_way(context.instance, batch_job.name):
            return dg.SensorResult(skip_reason=f"a batch is under way: {backlog.told}", cursor=cursor.write())
        cursor = cursor.next_batch()
        context.log.info(backlog.told)
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=cursor.run_key(NAME))], cursor=cursor.write())

    return tick
