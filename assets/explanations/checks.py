"""Asset checks on `registered_explanations`: whether anything is lost, late, dead or about to break the law's deadline.

They only read. The check `ledger_balances` belongs to the reading of one month: see `request_ledger`.
"""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from assets.explanations.registered_explanations import registered_explanations
from assets.poll_metadata import ROWS, named_of
from assets.status_metadata import RECOVERY, failure_table
from casebridge.bounded import cut_note
from casebridge.database import Document
from casebridge.messaging.queue.message import LONG_AGO, MessageStatus
from casebridge.operators.near_deadlines import near_deadlines
from casebridge.operators.stored_fields import text, time
from casebridge.safe_names import SafeNames
from resources.wiring.process_resource import ProcessResource

HOW_TO_RECOVER: Final = dg.MetadataValue.md(RECOVERY)


@dg.asset_check(asset=registered_explanations)
def nothing_lost(process: ProcessResource) -> dg.AssetCheckResult:
    """Every case ever opened is registered, withdrawn, set aside, on its way, or waits for its answer."""
    found = process.get().operators.completeness.account()
    return dg.AssetCheckResult(
        passed=not found.lost,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{found.lost} of {found.cases} cases are carried by nothing. Next: run `reconcile`, which reads them "
            "from FS again; if they stay, report them with these correlation ids."
            if found.lost
            else f"All {found.cases} cases are accounted for."
        ),
        metadata={
            "cases": found.cases,
            "lost": found.lost,
            "correlation_ids": named_of(found.unaccounted[:ROWS], found.lost),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def oldest_pending(process: ProcessResource) -> dg.AssetCheckResult:
    """No message waits longer than CASEBRIDGE_QUEUE__OVERDUE_SECONDS."""
    wired = process.get()
    pending, seconds = wired.operators.status.pending()
    allowed = wired.settings.queue.overdue_seconds
    paused = sorted({wired.stores.names.institution(pause.who) for pause in wired.stores.pauses.all()})
    late = seconds is not None and seconds > allowed
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"The oldest of {pending} pending messages has waited {seconds:.0f} s, allowed are {allowed:.0f} s. Next: see that a "
            "listener is alive (`casebridge status`) and whether its institution is paused."
            if late
            else f"{pending} messages are pending, none longer than {allowed:.0f} s."
        ),
        metadata={
            "pending": pending,
            "oldest_pending_seconds": round(seconds or 0.0, 1),
            "paused_institutions": named_of(paused[:ROWS], len(paused)),
            "listeners": wired.operators.status.listeners_alive(),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def dead_letters(process: ProcessResource) -> dg.AssetCheckResult:
    """No message is dead. A dead message waits for a person: the check says why, and what to do."""
    groups = [group for group in process.get().operators.status.read().failures if group.status == MessageStatus.DEAD]
    dead = sum(group.messages for group in groups)
    next_actions = "; ".join(f"{group.code} ({group.messages}): {group.next_action}" for group in groups[:ROWS])
    next_actions += f" {cut_note(ROWS, len(groups), '`casebridge dead list --institution`') or ''}".rstrip()
    return dg.AssetCheckResult(
        passed=not groups,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Waiting for a person: {dead}. {next_actions}" if groups else "No message waits for a person.",
        metadata={
            "dead": dead,
            **({"by_code": failure_table(groups)} if groups else {}),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def deadline_overdue(process: ProcessResource) -> dg.AssetCheckResult:
    """No open case is near its legal deadline (CASEBRIDGE_ANSWERS__NEAR_DAYS: a warning) or past it (an error)."""
    wired = process.get()
    days = wired.settings.answers.near_days
    found = near_deadlines(wired.operators.cases, wired.stores.clock, days, ROWS)
    is_any = bool(found.past or found.near)
    return dg.AssetCheckResult(
        passed=not is_any,
        severity=dg.AssetCheckSeverity.ERROR if found.past else dg.AssetCheckSeverity.WARN,
        description=(
            f"{found.past} open cases are past their legal deadline, {found.near} are at most {days} days from it. Next: look "
            "each up with `casebridge where CORRELATION_ID` and remind the assessor, or replay what was set aside."
            if is_any
            else f"No open case is within {days} days of its legal deadline."
        ),
        metadata={
            "past": found.past,
            "near": found.near,
            **({"most_urgent": _deadline_table(found.most_urgent, wired.stores.names)} if is_any else {}),
            "shown": f"{len(found.most_urgent)} of {found.past + found.near}, the most urgent first",
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


def _deadline_table(cases: Sequence[Document], names: SafeNames) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "correlation_id": text(case, "correlationId"),
                    "institution": names.institution(case.get("institution")),
                    "deadline": f"{time(case, 'deadline') or LONG_AGO:%Y-%m-%d}",
                    "state": text(case, "state"),
                    "set_aside": text(case, "setAside", ""),
                }
            )
            for case in cases
        ]
    )


CHECKS: Final = (nothing_lost, oldest_pending, dead_letters, deadline_overdue)
