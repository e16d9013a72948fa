"""`casebridge where`: shows the history of one case, step by step."""

import re
from datetime import datetime
from typing import Annotated, Final

import typer

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.explanations.cases import Cases
from casebridge.operators.case_history import CaseHistory, CaseHistoryReader
from casebridge.operators.moment import moment
from command_line.output import ExitCode, notes, print_json, results, styled, table
from command_line.process import this_process
from resources.wiring.explanations import Explanations

CANDIDATE: Final = re.compile(r"\d{1,18}", re.ASCII)


def where(
    case: Annotated[
        str, typer.Argument(help="Correlation id, or EXAM+CANDIDATE.", metavar="CORRELATION_ID|EXAM+CANDIDATE")
    ],
    before: Annotated[
        str | None, typer.Option(help="Only steps before this: 36h, 7d, 2026-01-08T09:00 (UTC). With a correlation id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of case histories.")] = False,
) -> None:
    """Show where a case is, what happened to it and what to do next.

    EXAM is FS's `vurdId` or the six key columns joined with `||` (217||DAT200||1||S||2025||HØST); CANDIDATE the kandidatnr.
    Exit code 3: no such case.
    """
    with this_process() as process:
        histories = _find(
            process.operators.histories,
            process.capability(Explanations).cases,
            case,
            _moment(before, process.stores.clock.now()),
        )
    if not histories:
        notes.print("No such case. A request appears here once FS has been read: see `casebridge status`.")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if as_json:
        print_json([history.plain() for history in histories])
        return
    for history in histories:
        show_history(history)


def _moment(text: str | None, now: datetime) -> datetime | None:
    try:
        return moment(text, now) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--before") from None


def _find(histories: CaseHistoryReader, cases: Cases, case: str, before: datetime | None) -> list[CaseHistory]:
    exam, plus, candidate = case.rpartition("+")
    if not plus:
        history = histories.by_correlation_id(case, before)
        return [history] if history else []
    if not CANDIDATE.fullmatch(candidate):
        raise typer.BadParameter("after the + stands the kandidatnr, a number", param_hint="EXAM+CANDIDATE")
    return histories.of(cases.by_exam_and_candidate(_vurd_id(exam), int(candidate)))


def _vurd_id(exam: str) -> str:
    if "||" not in exam:
        return exam
    try:
        institusjonsnr, emnekode, versjonskode, vurdkombkode, arstall, vurdtidkode = exam.split("||")
        return ExamKey(int(institusjonsnr), emnekode, versjonskode, vurdkombkode, int(arstall), vurdtidkode).vurd_id
    except (ValueError, PermanentError):
        raise typer.BadParameter(
            "the exam is FS's vurdId or six columns joined with ||, such as 217||DAT200||1||S||2025||HØST",
            param_hint="EXAM+CANDIDATE",
        ) from None


def show_history(history: CaseHistory) -> None:
    """Show the state, then the steps in order of time, then what comes next."""
    deadline = f", to be answered by {history.deadline:%Y-%m-%d}" if history.deadline else ""
    results.print(
        styled(
            "[bold]{case}[/] · {institution} · {exam_system} · [bold]{state}[/]{deadline}",
            case=history.correlation_id,
            institution=history.institution,
            exam_system=history.exam_system,
            state=history.state,
            deadline=deadline,
        )
    )
    columns = ("time (UTC)", "submodule", "step", "", "what", "ms")
    rows = (
        (entry.time, entry.submodule, entry.step, "✓" if entry.success else "✗", entry.told, entry.duration_ms)
        for entry in history.milestones
    )
    results.print(table("", columns, rows))
    if history.milestones_found > len(history.milestones):
        oldest = history.milestones[0].time if history.milestones else None
        earlier = f"--before {oldest:%Y-%m-%dT%H:%M:%S}" if oldest else "--before"
        results.print(
            f"The last {len(history.milestones)} of {history.milestones_found} steps; earlier ones: "
            f"casebridge where {history.correlation_id} {earlier}"
        )
    for message in history.waiting:
        results.print(f"In the queue: {message}")
    for link in history.links:
        results.print(styled("{relation}: {case}", relation=link.relation, case=link.correlation_id))
    if history.set_aside:
        results.print(styled("[red]Set aside:[/] {code}", code=history.set_aside))
    if history.discarded:
        instruction = history.discarded
        results.print(f"Discarded by {instruction.by} on {instruction.at:%Y-%m-%d %H:%M:%S} UTC: {instruction.reason}")
    if history.next_action:
        results.print(styled("[bold]Next:[/] {action}", action=history.next_action))
