"""`casebridge sync`: runs a synchronisation now, without Dagster."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from casebridge.bounded import LONGEST_REACH_BACK_DAYS, LONGEST_WAIT_SECONDS
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.synchronisation import PollReport
from casebridge.sources.source import PollRange
from command_line.output import ExitCode, notes, print_json, results, table
from command_line.process import this_process
from resources.wiring.process import Process


def sync(
    institution: Annotated[list[str] | None, typer.Option(help="Only these, as in uis.no/prod.")] = None,
    reach_back_days: Annotated[
        float | None, typer.Option(help="Read FS this far back, whatever the watermark.")
    ] = None,
    answers_first: Annotated[
        bool, typer.Option("--answers-first", help="After a restore: look for answers before FS is read.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for what somebody else handles.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read FS, send new requests on, look for answers and register them; wait up to two minutes for the outcome.

    Exit code 1: no institution could be read; 4: some could not, some requests did not get there, or something was set aside.
    """
    if reach_back_days is not None and not 0 <= reach_back_days <= LONGEST_REACH_BACK_DAYS:
        raise typer.BadParameter(f"a number from 0 to {LONGEST_REACH_BACK_DAYS}", param_hint="--reach-back-days")
    if not 0 <= wait <= LONGEST_WAIT_SECONDS:
        raise typer.BadParameter(f"a number of seconds from 0 to {LONGEST_WAIT_SECONDS}", param_hint="--wait")
    with this_process() as process, process.storage.processes.at_work("sync"):
        chosen = _chosen(process, institution or [])
        if answers_first:
            _finish_what_is_answered(process, chosen)
        outcome = _synchronise(process, chosen, reach_back_days, wait)
    if as_json:
        print_json(outcome)
    else:
        results.print(
            table("Synchronised", ("what", "outcome"), ((name, str(value)) for name, value in outcome.items()))
        )
    polled = [part for part in outcome.values() if "failed" in part]
    if any(part["failed"] and len(part["failed"]) == part["institutions"] - part["skipped"] for part in polled[:1]):
        raise typer.Exit(ExitCode.FAILED)
    if any(map(_needs_a_person, outcome.values())):
        raise typer.Exit(ExitCode.ATTENTION)


def _needs_a_person(part: dict[str, Any]) -> bool:
    """Whether a poll failed for an institution, a message was set aside, or a case was not handled in time."""
    return bool(
        part.get("failed")
        or part.get("by_status", {}).get(MessageStatus.DEAD)
        or part.get("waiting")
        or part.get("set_aside")
    )


def _chosen(process: Process, keys: list[str]) -> list[Institution]:
    active = process.stores.institutions.active()
    names = sorted({institution.key for institution in active})
    chosen = {key: process.stores.institutions.named(key) for key in keys}
    if unknown := [key for key, found in chosen.items() if not found]:
        raise typer.BadParameter(
            f"not active: {', '.join(unknown)}; active are {', '.join(names) or 'none'}", param_hint="--institution"
        )
    return [institution for found in chosen.values() for institution in found] if keys else active


def _finish_what_is_answered(process: Process, chosen: list[Institution]) -> None:
    """Poll the sources that report outcomes and handle what they find, before the sources of cases are polled."""
    for source in (source for capability in process.capabilities for source in capability.sources):
        if source.brings_outcomes:
            report = process.synchronisation.poll(source, chosen, PollRange(also_finished=True))
            handled = process.synchronisation.run_batch(source.queues)
            notes.print(f"First: {report.accepted} new {source.name}, {handled.handled} messages handled.")


def _synchronise(
    process: Process, chosen: list[Institution], reach_back_days: float | None, wait: float
) -> dict[str, Any]:
    run = process.synchronisation
    what = PollRange(None if reach_back_days is None else timedelta(days=reach_back_days), reach_back_days is not None)
    outcome: dict[str, Any] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("", total=None)
        for source in (source for capability in process.capabilities for source in capability.sources):
            progress.update(task, description=f"polling {source.system} for {source.name}")
            report = run.poll(source, chosen, what)
            progress.update(task, description=f"handling {report.accepted} new {source.name}")
            outcome[source.name] = _plain(report)
            outcome[source.handled_as] = asdict(run.run_batch(source.queues))
            if source.awaited:
                outcome[source.awaited_as] = asdict(run.wait_for(source, report.correlation_ids, wait))
    return outcome


def _plain(report: PollReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "correlation_ids"}
