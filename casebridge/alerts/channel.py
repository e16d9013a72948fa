"""The ports by which the relay sends alerts and index entries, and the text of an alert."""

from typing import Any, Final, Protocol

from casebridge.database import Document
from casebridge.tenant import NO_EXAM_SYSTEM, UNKNOWN

LONGEST_NAME: Final = 200


class AlertChannel(Protocol):
    """Where alerts are sent: Slack."""

    def send(self, text: str) -> None:
        """Send an alert. Raises the errors of `casebridge.errors`."""
        ...


class LogIndex(Protocol):
    """Where outcomes are indexed for searching: LaaS."""

    def index(self, document: dict[str, Any]) -> None:
        """Register one document. Raises the errors of `casebridge.errors`."""
        ...


def alert_text(alert: Document) -> str:
    """The text of a stored alert: the cases, the step, the cause and the next action."""
    institution, submodule, step, code = (
        _short(alert.get(name)) for name in ("institution", "submodule", "step", "code")
    )
    cases, named = _cases(alert)
    exam_system = _short(alert.get("examSystem", UNKNOWN))
    system = "" if exam_system in (UNKNOWN, NO_EXAM_SYSTEM) else f" on {exam_system}"
    lines = [
        f"*{institution}*{system} · {submodule} · {step}: {code}",
        str(alert.get("cause", "The alert does not say why.")),
        f"Next: {alert.get('nextAction', 'look at `casebridge status`')}",
    ]
    if alert.get("setAside"):
        option = "" if UNKNOWN in institution.split("/") else f" --institution {institution}"
        letters = f"--code {code}{option}"
        lines.append(f"Then: `casebridge dead replay {letters}` (a dry run first), or `casebridge dead discard`")
    if isinstance(about := alert.get("about"), str):
        lines.append(f"About: {about[:LONGEST_NAME]}")
    if named:
        lines.append(f"Cases: {named} (`casebridge where {cases[0]}`)")
    return "\n".join(lines)


def _cases(alert: Document) -> tuple[list[str], str]:
    """The cases, and the text that names them.

    The text names all of them, each with its note, if only this alert lists them. Else it names three, and counts the others.
    """
    stored = alert.get("correlationIds")
    cases = [_short(case) for case in stored] if isinstance(stored, list) else []
    if not alert.get("listsCases"):
        return cases, ", ".join(cases[:3]) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")
    notes = alert.get("notes")
    note_of = notes if isinstance(notes, dict) else {}
    named = ", ".join(f"{case} ({_short(note_of[case])})" if case in note_of else case for case in cases)
    further = alert.get("furtherCases")
    return cases, f"{named}; {further} more come with the next message" if further else named


def _short(value: object) -> str:
    """One of our own names. Its length is bounded, so that the text beside it stays visible."""
    return value[:LONGEST_NAME] if isinstance(value, str) else "unknown"
