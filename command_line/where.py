"""`casebridge where`: the road of one case, step by step."""

import re
from datetime import datetime
from typing import Annotated, Final

import typer

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import ExamKey
from casebridge.operators.case_history import Road, RoadFinder
from casebridge.operators.moment import moment
from command_line.output import ExitCode, notes, print_json, results, styled, table
from command_line.process import bridge_of_this_process

CANDIDATE: Final = re.compile(r"\d{1,18}", re.ASCII)


def where(
    case: Annotated[
        str, typer.Argument(help="Correlation id, or EXAM+CANDIDATE.", metavar="CORRELATION_ID|EXAM+CANDIDATE")
    ],
    before: Annotated[
        str | None, typer.Option(help="Only steps before this: 36h, 7d, 2026-01-08T09:00 (UTC). With a correlation id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of roads.")] = False,
) -> None:
    """Show where a case is, what happened to it and what to do next.

    EXAM is FS's `vurdId` or the six key columns joined with `||` (217||DAT200||1||S||2025||HØST); CANDIDATE the kandidatnr.
    Exit code 3: no such case.
    """
    with bridge_of_this_process() as bridge:
        roads = _find(bridge.roads, case, _moment(before, bridge.clock.now()))
    if not roads:
        notes.print("No such case. A request appears here once FS has been read: see `casebridge status`.")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if as_json:
        print_json([road.plain() for road in roads])
        return
    for road in roads:
        show_road(road)


def _moment(text: str | None, now: datetime) -> datetime | None:
    try:
        return moment(text, now) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--before") from None


def _find(roads: RoadFinder, case: str, before: datetime | None) -> list[Road]:
    exam, plus, candidate = case.rpartition("+")
    if not plus:
        road = roads.by_correlation_id(case, before)
        return [road] if road else []
    if not CANDIDATE.fullmatch(candidate):
        raise typer.BadParameter("after the + stands the kandidatnr, a number", param_hint="EXAM+CANDIDATE")
    return roads.by_exam_and_candidate(_vurd_id(exam), int(candidate))


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


def show_road(road: Road) -> None:
    """State first, then the steps in order of time."""
    deadline = f", to be answered by {road.deadline:%Y-%m-%d}" if road.deadline else ""
    results.print(
        styled(
            "[bold]{case}[/] · {institution} · {exam_system} · [bold]{state}[/]{deadline}",
            case=road.correlation_id,
            institution=road.institution,
            exam_system=road.exam_system,
            state=road.state,
            deadline=deadline,
        )
    )
    columns = ("time (UTC)", "submodule", "step", "", "what", "ms")
    rows = (
        (stone.time, stone.submodule, stone.step, "✓" if stone.success else "✗", stone.told, stone.duration_ms)
        for stone in road.milestones
    )
    results.print(table("", columns, rows))
    if road.milestones_found > len(road.milestones):
        oldest = road.milestones[0].time if road.milestones else None
        earlier = f"--before {oldest:%Y-%m-%dT%H:%M:%S}" if oldest else "--before"
        results.print(
            f"The last {len(road.milestones)} of {road.milestones_found} steps; earlier ones: "
            f"casebridge where {road.correlation_id} {earlier}"
        )
    for message in road.waiting:
        results.print(f"In the queue: {message}")
    if road.set_aside:
        results.print(styled("[red]Set aside:[/] {code}", code=road.set_aside))
    if road.discarded:
        word = road.discarded
        results.print(f"Discarded by {word.by} on {word.at:%Y-%m-%d %H:%M:%S} UTC: {word.reason}")
    if road.next_action:
        results.print(styled("[bold]Next:[/] {action}", action=road.next_action))
