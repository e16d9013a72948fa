"""Asset checks on `registered_explanations`: whether anything is lost, late, dead or about to break the law's deadline.

They only look. `ledger_balances` belongs to the reading of one month and is with `request_ledger`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import dagster as dg

from assets.poll_metadata import ROWS
from assets.registered_explanations import registered_explanations
from assets.standing import RECOVERY, failure_table
from casebridge.exams.cases import Case
from casebridge.messaging.message import MessageStatus
from resources.bridge_resource import BridgeResource

ONE_DAY: Final = timedelta(days=1)
HOW_TO_RECOVER: Final = dg.MetadataValue.md(RECOVERY)


@dg.asset_check(asset=registered_explanations)
def nothing_lost(bridge: BridgeResource) -> dg.AssetCheckResult:
    """Every case ever opened is registered, withdrawn, set aside, on its way, or waits for its answer."""
    found = bridge.get().accounting.account()
    return dg.AssetCheckResult(
        passed=not found.unaccounted,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{len(found.unaccounted)} of {found.cases} cases are carried by nothing. Next: run `reconcile`, which reads them "
            "from FS again; if they stay, report them with these correlation ids."
            if found.unaccounted
            else f"All {found.cases} cases are accounted for."
        ),
        metadata={
            "cases": found.cases,
            "lost": len(found.unaccounted),
            "correlation_ids": ", ".join(found.unaccounted[:ROWS]) or "none",
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def oldest_pending(bridge: BridgeResource) -> dg.AssetCheckResult:
    """No message waits longer than CASEBRIDGE_QUEUE__OVERDUE_SECONDS."""
    wired = bridge.get()
    pending, seconds = wired.status.pending()
    allowed = wired.settings.queue.overdue_seconds
    paused = sorted(wired.pauses.paused())
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
            "paused_institutions": ", ".join(paused[:ROWS]) or "none",
            "listeners": wired.status.listeners_alive(),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def dead_letters(bridge: BridgeResource) -> dg.AssetCheckResult:
    """No message is dead: each one that is waits for a person, who finds here why and what to do."""
    groups = [group for group in bridge.get().status.read().failures if group.status == MessageStatus.DEAD]
    dead = sum(group.messages for group in groups)
    told = "; ".join(f"{group.code} ({group.messages}): {group.next_action}" for group in groups[:ROWS])
    return dg.AssetCheckResult(
        passed=not groups,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Waiting for a person: {dead}. {told}" if groups else "No message waits for a person.",
        metadata={
            "dead": dead,
            **({"by_code": failure_table(groups)} if groups else {}),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


@dg.asset_check(asset=registered_explanations)
def deadline_overdue(bridge: BridgeResource) -> dg.AssetCheckResult:
    """No open case is near its legal deadline (CASEBRIDGE_ANSWERS__NEAR_DAYS: a warning) or past it (an error)."""
    wired = bridge.get()
    days = wired.settings.answers.near_days
    open_cases = wired.cases.near_deadline(days)
    # A deadline is a date, kept as its midnight: it is past when that day is over.
    past = [case for case in open_cases if case.document["deadline"] + ONE_DAY <= wired.clock.now()]
    near = open_cases[len(past) :]
    return dg.AssetCheckResult(
        passed=not open_cases,
        severity=dg.AssetCheckSeverity.ERROR if past else dg.AssetCheckSeverity.WARN,
        description=(
            f"{len(past)} open cases are past their legal deadline, {len(near)} are at most {days} days from it. Next: look "
            "each up with `casebridge where CORRELATION_ID` and remind the assessor, or replay what was set aside."
            if open_cases
            else f"No open case is within {days} days of its legal deadline."
        ),
        metadata={
            "past": len(past),
            "near": len(near),
            **({"most_urgent": _deadline_table(open_cases)} if open_cases else {}),
            "how_to_recover": HOW_TO_RECOVER,
        },
    )


def _deadline_table(cases: Sequence[Case]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "correlation_id": case.correlation_id,
                    "institution": case.institution,
                    "deadline": case.document["deadline"].date().isoformat(),
                    "state": case.state.value,
                    "set_aside": case.document.get("setAside") or "",
                }
            )
            for case in cases[:ROWS]
        ]
    )


CHECKS: Final = (nothing_lost, oldest_pending, dead_letters, deadline_overdue)
