"""The present status as metadata: what waits, what was set aside and why, and how to recover."""

from collections.abc import Sequence

import dagster as dg

from assets.poll_metadata import ROWS, Metadata, cut, poll_metadata
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.status import FailureGroup, InstitutionStatus, TableStatus
from casebridge.sources.polling import PollOutcome
from resources.wiring.process import Process

RECOVERY = """\
- **How do things stand?** `casebridge status`
- **Where is one case?** `casebridge where CORRELATION_ID`
- **What waits for a person?** job `list_dead_letters`, or `casebridge dead list`, then `casebridge dead show CORRELATION_ID`
- **Run it again:** job `replay_dead_letters` (a dry run first), or `casebridge dead replay --code CODE`, then again with
  `--for-real --reason "…"`. What was done is not done again.
- **It is settled without us:** job `discard_dead_letters`, or `casebridge dead discard`, likewise.
- **Read again now:** job `sync_now`. **A past month:** backfill `request_ledger` by institution and month.
- **A paused institution** goes on by itself when its credentials, address and certificate work again.
- What each code means: `docs/operating.md`.
"""


def status_metadata(process: Process) -> Metadata:
    """Totals, today's numbers, the oldest pending message, what was set aside by code, next actions, and how to recover."""
    status = process.operators.status.read()
    metadata: Metadata = {
        **{name: _number(value) for name, value in process.operators.totals.of(status).items()},
        "listeners": dg.MetadataValue.int(status.listeners),
        "how_to_recover": dg.MetadataValue.md(RECOVERY),
    }
    if set_aside := [group for group in status.failures if group.status == MessageStatus.DEAD]:
        metadata["set_aside_by_code"] = failure_table(set_aside)
        metadata |= cut("set_aside_by_code", len(set_aside), "`casebridge dead list --institution`")
    if status.institutions:
        metadata["institutions_now"] = _institution_table(status.institutions)
        metadata |= cut("institutions_now", len(status.institutions), "`casebridge status`, which has all")
    for one in status.tables:
        metadata[one.name] = _table(one)
        metadata |= cut(one.name, len(one.rows), "`casebridge status`, which has all")
    return metadata


def polled_metadata(process: Process, outcomes: Sequence[PollOutcome]) -> Metadata:
    """The result of a poll, and the status after it."""
    return {**poll_metadata(outcomes), **status_metadata(process)}


def _number(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.int(value)


def failure_table(groups: list[FailureGroup]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "code": group.code,
                    "messages": group.messages,
                    "institutions": len(group.institutions),
                    "cause": group.cause,
                    "next_action": group.next_action,
                    "cases": ", ".join(group.correlation_ids),
                }
            )
            for group in groups[:ROWS]
        ]
    )


def _table(found: TableStatus) -> dg.TableMetadataValue:
    """A capability's own table. Dagster shows texts and numbers; anything else becomes a text."""
    rows = [dict(zip(found.columns, map(_cell, row), strict=True)) for row in found.rows[:ROWS]]
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in rows],
        # stated explicitly, because Dagster cannot derive columns from an empty table
        schema=dg.TableSchema([dg.TableColumn(name) for name in found.columns]),
    )


def _cell(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float) else str(value)


def _institution_table(rows: list[InstitutionStatus]) -> dg.TableMetadataValue:
    """Paused institutions first, then those with the most messages set aside, then those with the most messages waiting."""
    ordered = sorted(rows, key=lambda row: (row.paused is None, -row.set_aside, -row.waiting, row.institution))
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "institution": row.institution,
                    **row.cases,
                    "set_aside": row.set_aside,
                    "discarded": row.discarded,
                    "waiting": row.waiting,
                    "paused": row.paused or "",
                }
            )
            for row in ordered[:ROWS]
        ]
    )
