"""The backfill: a month of one institution is read from FS again, and every request in it is accounted for."""

from dataclasses import asdict
from typing import cast

import dagster as dg

from assets.explanations.ledger import Ledger, read_ledger
from assets.explanations.outside_systems import FS_REQUESTS
from assets.institutions import chosen_institutions
from assets.ownership import FS_POOL, GROUP, OWNERS
from assets.partitioned_check import partitioned_check
from assets.partitions import LEDGER, first_days
from assets.status_metadata import status_metadata
from casebridge.exams.explanations.request_reader import Window
from casebridge.sources.polling import PollOutcome
from resources.wiring.process_resource import ProcessResource

BALANCES = partitioned_check(
    "ledger_balances",
    asset="request_ledger",
    description="Every request that is open in FS for this institution and month has a case with us.",
    partitions_def=LEDGER,
)


@dg.asset(
    deps=[FS_REQUESTS],
    partitions_def=LEDGER,
    # No backfill policy means one run per partition. A policy that joins partitions into one run would group them by the
    # dimension with fewer keys. Then the failure of one institution would stop all others for that month, and one check
    # would be recorded for all of them.
    check_specs=[BALANCES],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"fs", "mongodb"},
    tags={"casebridge/side": "ledger"},
    pool=FS_POOL,
)
def request_ledger(context: dg.AssetExecutionContext, process: ProcessResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with check_specs Dagster knows the bare name only
    """What FS holds for one institution and month, and what became of each request.

    Backfill it by institution and month: FS is read again for each, what was missed is accepted, and nothing is done twice.
    Each partition is a run of its own; one that fails (refused credentials, FS away) neither hides nor stops the others.
    """
    key = cast("dg.MultiPartitionKey", context.partition_key).keys_by_dimension
    wired = process.get()
    institutions = chosen_institutions(wired, [key["institution"]])
    outcomes, ledger = read_ledger(wired, institutions, Window(*first_days(key["month"])))
    for outcome in outcomes:
        _raise_if_unread(outcome)
    return dg.MaterializeResult(
        metadata={**_metadata(ledger), **status_metadata(wired)}, check_results=[_balances(ledger)]
    )


def _raise_if_unread(outcome: PollOutcome) -> None:
    if outcome.error is not None:
        raise dg.Failure(
            f"FS could not be read for {outcome.tenant}. [{outcome.error.code}] {outcome.error.cause} "
            f"Next: {outcome.error.next_action} Then materialise this partition again.",
            allow_retries=False,
        )
    if outcome.skipped:
        raise dg.Failure(
            f"{outcome.tenant} is paused: `casebridge status` says why. Next: mend that; it goes on by itself. "
            "Then materialise this partition again.",
            allow_retries=False,
        )


def _metadata(ledger: Ledger) -> dict[str, dg.MetadataValue]:
    counts = {**asdict(ledger), "fs_total": ledger.fs_total, "finished_elsewhere": ledger.finished_elsewhere}
    return {
        **{name: dg.MetadataValue.int(count) for name, count in counts.items()},
    }


def _balances(ledger: Ledger) -> dg.AssetCheckResult:
    summary = (
        f"{ledger.lost} of {ledger.fs_open} requests that are open in FS have no case. Materialise the partition again; if "
        "they stay, report it: a request must never be passed over."
        if ledger.lost
        else f"{ledger.fs_total} requests in FS, none lost."
    )
    return dg.AssetCheckResult(
        passed=ledger.lost == 0,
        check_name=BALANCES.name,
        description=summary,
        metadata={"fs_open": ledger.fs_open, "lost": ledger.lost},
    )
