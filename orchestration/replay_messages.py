"""The job that begins dead or failed messages anew, by filter; a dry run unless said otherwise."""

from datetime import timedelta
from enum import Enum

import dagster as dg
from pydantic import Field

from casebridge.messaging.message import MessageStatus
from casebridge.operators.replay import ReplayFilter, ReplayReport
from orchestration.job_tags import job_tags
from resources.bridge_resource import BridgeResource


class Replayable(Enum):
    """What can be replayed; everything else goes on by itself."""

    DEAD = "dead"
    FAILED = "failed"


class ReplayConfig(dg.Config):
    """Which messages, and whether for real. An empty filter means any."""

    status: Replayable = Field(
        default=Replayable.DEAD, description="DEAD waits for a person; FAILED would be tried again later."
    )
    institution: str | None = Field(default=None, description="Only this one, as in uis.no/prod.")
    queue: str | None = Field(
        default=None, description="Only this queue: wiseflow-begrunnelse or wiseflow-begrunnelse-svar."
    )
    code: str | None = Field(default=None, description="Only messages whose last error has this code.")
    correlation_id: str | None = Field(default=None, description="Only this case.")
    dry_run: bool = Field(default=True, description="Only show what would be replayed.")
    limit: int = Field(default=100, gt=0, description="At most so many, oldest first.")
    reason: str = Field(default="", description="Why; kept in the audit. Needed unless it is a dry run.")
    asked_by: str = Field(
        default="", description="Who asks; kept in the audit, since Dagster knows no users. Needed likewise."
    )

    def wanted(self) -> ReplayFilter:
        return ReplayFilter(
            MessageStatus(self.status.value), self.institution, self.queue, self.code, self.correlation_id
        )


@dg.op(out=dg.Out(dg.Nothing))
def replay(config: ReplayConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Begin the chosen messages anew, with all their attempts; the steps that are done are not done again."""
    if not config.dry_run and not (config.reason.strip() and config.asked_by.strip()):
        raise dg.Failure("Say why and who asks (`reason`, `asked_by`): the audit keeps both.", allow_retries=False)
    report = bridge.get().replayer.replay(
        config.wanted(), dry_run=config.dry_run, limit=config.limit, reason=config.reason, asked_by=config.asked_by
    )
    return dg.Output(None, metadata=_metadata(report))


def _metadata(report: ReplayReport) -> dict[str, dg.MetadataValue]:
    next_step = (
        "Nothing was changed. Launch again with `dry_run: false`, `reason` and `asked_by` to replay these."
        if report.dry_run
        else "A listener takes them at once; without one `backlog_sensor` starts a batch within a minute."
    )
    return {
        "found": dg.MetadataValue.int(report.found),
        "replayed": dg.MetadataValue.int(report.replayed),
        "dry_run": dg.MetadataValue.bool(report.dry_run),
        "by_code": dg.MetadataValue.md(
            "\n".join(f"- `{code}`: {messages}" for code, messages in sorted(report.by_code.items())) or "none"
        ),
        "correlation_ids": dg.MetadataValue.text(", ".join(report.correlation_ids) or "none"),
        "next": dg.MetadataValue.md(next_step),
    }


@dg.job(
    description="Begin dead or failed messages anew. A dry run first: it shows how many of which code.",
    tags=job_tags(max_runtime=timedelta(minutes=10), priority=10),
)
def replay_messages() -> None:
    replay()
