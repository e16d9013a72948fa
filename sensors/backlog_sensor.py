"""Starts a batch of the queue when no listener is alive, or when listeners leave messages overdue."""

from typing import Final

import dagster as dg

from resources.wiring.process_resource import ProcessResource
from sensors.batch_request import batch_request
from sensors.cursor import Cursor

NAME: Final = "backlog_sensor"
SECONDS: Final = 60


def backlog_sensor(batch_job: str) -> dg.SensorDefinition:
    """A retry or a replay becomes due without any poll. If no listener is alive, only this sensor finds it."""

    @dg.sensor(
        name=NAME,
        description="Starts a batch of the queue when messages are due and no listener takes them.",
        job_name=batch_job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tick(context: dg.SensorEvaluationContext, process: ProcessResource) -> dg.SensorResult:
        batch = batch_request(process.get(), context.instance, batch_job, Cursor.read(context.cursor), NAME)
        return dg.SensorResult(
            run_requests=batch.run_requests,
            skip_reason=None if batch.run_requests else batch.summary,
            cursor=batch.cursor.write(),
        )

    return tick
