"""The demo's result: one JSON object for scripts and one table for people, from the same figures."""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from command_line.output import table
from demo.memory import MemoryMeter
from demo.platform import Platform
from demo.round import Picture


def summary_of(picture: Picture, platform: Platform, meter: MemoryMeter, began_at_unix: float) -> dict[str, Any]:
    """The figures. `registered`, `registered_twice`, `answered` and `calls` are counts of the simulators, not of casebridge."""
    counted = picture.simulators
    first = counted["first_registered_at"]
    return {
        "requests": counted["requests"],
        "dispatched": counted["dispatched"],
        "answered": counted["answered"],
        "registered": counted["registered"],
        "set_aside": picture.set_aside,
        "lost": picture.lost,
        "registered_twice": counted["registered_twice"],
        "alerts": counted["alerts"],
        "first_registered_s": round(first - began_at_unix, 1) if first else None,
        "wall_s": round(picture.seconds, 1),
        "latency_s": counted["latency_s"],
        "calls": counted["calls"],
        "peak_memory_mb": meter.peaks(),
        "servers": platform.servers,
        "ui": platform.ui,
    }


def reached_the_right_end(picture: Picture, platform: Platform) -> bool:
    """Whether each request was registered once with the right text, or set aside as the population expects."""
    counted = picture.simulators
    return (
        picture.lost == 0
        and counted["registered_twice"] == 0
        and counted["wrong_text"] == 0
        and counted["registered"] == platform.expected["registered"]
        and picture.set_aside == sum(platform.expected["set_aside"].values())
    )


def as_table(summary: dict[str, Any], picture: Picture) -> RenderableType:
    """The summary for people, with the reasons why requests were set aside and the next action for each reason."""
    latency, memory = summary["latency_s"], summary["peak_memory_mb"]
    rows = [
        ("requests in FS", summary["requests"]),
        ("sent to the assessors", summary["dispatched"]),
        ("answered", summary["answered"]),
        ("registered in FS", summary["registered"]),
        ("registered twice", summary["registered_twice"]),
        ("set aside for a person", summary["set_aside"]),
        ("lost", summary["lost"]),
        ("alerts sent", summary["alerts"]),
        ("first registered after", f"{summary['first_registered_s']} s"),
        ("all done after", f"{summary['wall_s']} s"),
        ("FS to FS without the assessor", f"p50 {latency['p50']:.1f} s, p95 {latency['p95']:.1f} s"),
        ("calls", ", ".join(f"{system} {calls}" for system, calls in summary["calls"].items())),
        ("peak memory of all processes", f"{memory['total']:.0f} MB"),
    ]
    reasons = [
        (group.code, group.messages, group.next_action) for group in picture.ours.failures if group.status == "dead"
    ]
    parts: list[RenderableType] = [
        table("One round", ("what", "outcome"), ((name, str(value)) for name, value in rows))
    ]
    if reasons:
        parts.append(table("Set aside, and what to do", ("reason", "requests", "next action"), reasons))
    # The counts and tables that the capabilities declare.
    cases: Counter[str] = Counter()
    for institution in picture.ours.institutions:
        cases.update(institution.cases)
    parts.append(table("Cases of all capabilities", ("state", "cases"), cases.items()))
    parts += [table(one.title, one.columns, one.rows) for one in picture.ours.tables]
    return Group(*parts)


def live_view(picture: Picture, requests: int) -> RenderableType:
    """How many requests have reached each state."""
    counted = picture.simulators
    stages = (
        ("in FS", counted["requests"]),
        ("sent to the assessors", counted["dispatched"]),
        ("answered", counted["answered"]),
        ("registered in FS", counted["registered"]),
        ("set aside", picture.set_aside),
    )
    view = Table.grid(padding=(0, 2))
    for name, number in stages:
        filled = round(40 * number / requests) if requests else 0
        view.add_row(name, Text("█" * filled + "░" * (40 - filled), style="green"), f"{number}/{requests}")
    view.add_row(
        "queue", f"{picture.ours.pending} pending, {picture.ours.alerts_owed} alerts owed", f"{picture.seconds:.0f} s"
    )
    return view
