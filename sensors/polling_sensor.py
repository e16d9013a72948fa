"""What the two polling sensors have in common: a poll of bounded time, its report to Dagster, and the request for a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from casebridge.institutions.institution import Institution
from casebridge.operators.synchronisation import PollReport
from casebridge.sources.polling import PollOutcome
from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource
from sensors.batch_request import batch_request
from sensors.cursor import Cursor
from sensors.institution_order import in_turn, is_paused, next_first
from sensors.interval import poll_seconds

BUDGET_SECONDS: Final = 50.0
"""Dagster stops a tick after 60 s and does not store its cursor then. So the poll ends before.

What the poll leaves is read by the next tick, or becomes a message of its own."""

Poll = Callable[[Process, Sequence[Institution]], list[PollOutcome]]
PollMetadata = Callable[[Process, Sequence[PollOutcome]], Mapping[str, Any]]


class NothingCouldBeReadError(Exception):
    """The poll failed for every institution: an outage or refused credentials. The message has no personal data."""

    def __init__(self, source: str, outcomes: Sequence[PollOutcome]) -> None:
        errors = {outcome.error.code: outcome.error for outcome in outcomes if outcome.error}
        summary = " ".join(f"[{code}] {error.cause} Next: {error.next_action}" for code, error in errors.items())
        super().__init__(f"{source} could not be read for any institution. {summary}")


@dataclass(frozen=True)
class Round:
    """The outcomes of one poll, and the cursor after it."""

    outcomes: list[PollOutcome]
    cursor: Cursor

    @property
    def report(self) -> PollReport:
        return PollReport.of(self.outcomes)

    @property
    def summary(self) -> str:
        report = self.report
        failed = f", failed: {', '.join(sorted(report.failed))}" if report.failed else ""
        return f"{report.seen} seen, {report.accepted} new, {report.skipped} institutions passed over{failed}"


def poll_round(process: Process, source: str, poll: Poll, cursor: Cursor) -> Round:
    """Poll all active institutions, beginning with the cursor's `first`.

    Raises `NothingCouldBeReadError` if all institutions failed. If only some failed, the round is returned as usual.
    """
    outcomes = poll(process, in_turn(process.stores.institutions.active(), cursor.first))
    report = PollReport.of(outcomes)
    paused = process.stores.pauses.paused()
    missed = any(outcome.skipped and not is_paused(outcome, paused) for outcome in outcomes)
    # An error keeps the old cursor, so after an error skipped institutions would never be polled. Hence `not missed`.
    if report.all_failed and not missed:
        raise NothingCouldBeReadError(source, outcomes)
    return Round(outcomes, cursor.with_first(next_first(outcomes, paused)))


def polling_sensor(
    *,
    name: str,
    description: str,
    source: str,
    poll: Poll,
    asset: dg.AssetsDefinition,
    poll_metadata: PollMetadata,
    batch_job: str,
    institutions: dg.DynamicPartitionsDefinition | None = None,
) -> dg.SensorDefinition:
    """A sensor that polls `source` into the inbox and reports what was new as a materialisation of `asset`.

    With `institutions` it also adds the partition keys of new institutions.
    """

    @dg.sensor(
        name=name,
        description=description,
        job_name=batch_job,
        minimum_interval_seconds=poll_seconds(),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tick(context: dg.SensorEvaluationContext, process: ProcessResource) -> dg.SensorResult:
        wired = process.get()
        done = poll_round(wired, source, poll, Cursor.read(context.cursor))
        batch = batch_request(wired, context.instance, batch_job, done.cursor, name)
        summary = f"{done.summary}; {batch.summary}"
        events = []
        if done.report.accepted:
            context.log.info(summary)
            events = [
                dg.AssetMaterialization(
                    asset.key, description=f"Polled by {name}.", metadata=poll_metadata(wired, done.outcomes)
                )
            ]
        return dg.SensorResult(
            run_requests=batch.run_requests,
            skip_reason=None if batch.run_requests else summary,
            cursor=batch.cursor.write(),
            asset_events=events,
            dynamic_partitions_requests=_missing(wired, context.instance, institutions) if institutions else [],
        )

    return tick


def _missing(
    process: Process, instance: dg.DagsterInstance, institutions: dg.DynamicPartitionsDefinition
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """Requests to add new institutions as partitions of the ledger.

    Partitions are never removed: their history stays, and a run may be using one.
    """
    known = set(instance.get_dynamic_partitions(str(institutions.name)))
    new = sorted({institution.key for institution in process.stores.institutions.active()} - known)
    return [institutions.build_add_request(new)] if new else []
