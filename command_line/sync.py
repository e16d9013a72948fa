"""`casebridge sync`: a synchronisation now, without Dagster."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from casebridge.bounded import LONGEST_REACH_BACK_DAYS, LONGEST_WAIT_SECONDS
from casebridge.exams.explanations import answer_poller, request_reader
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.synchronisation import PollReport
from command_line.output import ExitCode, notes, print_json, results, table
from command_line.process import bridge_of_this_process
from resources.wiring.bridge import Bridge


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
    with bridge_of_this_process() as bridge, bridge.storage.processes.at_work("sync"):
        chosen = _chosen(bridge, institution or [])
        if answers_first:
            _register_answers(bridge, chosen)
        outcome = _synchronise(bridge, chosen, reach_back_days, wait)
    if as_json:
        print_json(outcome)
    else:
        results.print(
            table("Synchronised", ("what", "outcome"), ((name, str(value)) for name, value in outcome.items()))
        )
    read, asked = outcome["requests"], outcome["outcome"]
    if read["failed"] and len(read["failed"]) == read["institutions"] - read["skipped"]:
        raise typer.Exit(ExitCode.FAILED)
    dead = any(outcome[batch]["by_status"].get(MessageStatus.DEAD) for batch in ("sent", "registered"))
    if read["failed"] or outcome["answers"]["failed"] or asked["waiting"] or asked["set_aside"] or dead:
        raise typer.Exit(ExitCode.ATTENTION)


def _chosen(bridge: Bridge, keys: list[str]) -> list[Institution]:
    active = bridge.institutions.active()
    names = sorted({institution.key for institution in active})
    chosen = {key: bridge.institutions.named(key) for key in keys}
    if unknown := [key for key, found in chosen.items() if not found]:
        raise typer.BadParameter(
            f"not active: {', '.join(unknown)}; active are {', '.join(names) or 'none'}", param_hint="--institution"
        )
    return [institution for found in chosen.values() for institution in found] if keys else active


def _register_answers(bridge: Bridge, chosen: list[Institution]) -> None:
    """Of what FS has already, the case is brought up to date: a read of FS would take it for finished by somebody else."""
    answers = bridge.synchronisation.poll_answers(chosen, also_answered=True)
    handled = bridge.synchronisation.run_batch((answer_poller.QUEUE,))
    notes.print(f"Before FS was read: {answers.accepted} new answers, {handled.handled} messages handled.")


def _synchronise(
    bridge: Bridge, chosen: list[Institution], reach_back_days: float | None, wait: float
) -> dict[str, Any]:
    run = bridge.synchronisation
    reach_back = None if reach_back_days is None else timedelta(days=reach_back_days)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("reading FS", total=None)
        requests = run.read_requests(chosen, reach_back=reach_back)
        progress.update(task, description=f"sending {requests.accepted} new requests to the exam system")
        sent = run.run_batch(request_reader.QUEUES)
        awaited = run.wait_for_dispatch(requests.correlation_ids, wait)
        progress.update(task, description="looking for answers")
        answers = run.poll_answers(chosen, also_answered=reach_back is not None)
        progress.update(task, description=f"registering {answers.accepted} answers in FS")
        registered = run.run_batch((answer_poller.QUEUE,))
    return {
        "requests": _plain(requests),
        "sent": asdict(sent),
        "outcome": asdict(awaited),
        "answers": _plain(answers),
        "registered": asdict(registered),
    }


def _plain(report: PollReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "correlation_ids"}
