"""Where alerts and index entries go: the ports of the relay, and the text of an alert."""

from typing import Any, Protocol

from casebridge.database import Document
from casebridge.tenant import UNKNOWN


class AlertChannel(Protocol):
    """Where people are told: Slack."""

    def send(self, text: str) -> None:
        """Tell people. Raises the errors of `casebridge.errors`."""
        ...


class LogIndex(Protocol):
    """Where outcomes are indexed for searching: LaaS."""

    def index(self, document: dict[str, Any]) -> None:
        """Register one document. Raises the errors of `casebridge.errors`."""
        ...


def alert_text(alert: Document) -> str:
    """Which cases, which step, why, and what to do next: what a person needs at three in the morning."""
    institution, code = alert.get("institution", "unknown"), alert.get("code", "unknown")
    cases = alert.get("correlationIds") or []
    named = ", ".join(map(str, cases[:3])) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")
    on = alert.get("examSystem", UNKNOWN)
    system = "" if on == UNKNOWN else f" on {on}"
    lines = [
        f"*{institution}*{system} · {alert.get('submodule', 'unknown')} · {alert.get('step', 'unknown')}: {code}",
        str(alert.get("cause", "The alert does not say why.")),
        f"Next: {alert.get('nextAction', 'look at `casebridge status`')}",
    ]
    if alert.get("setAside"):
        whose = "" if UNKNOWN in str(institution).split("/") else f" --institution {institution}"
        letters = f"--code {code}{whose}"
        lines.append(f"Then: `casebridge dead replay {letters}` (a dry run first), or `casebridge dead discard`")
    if about := alert.get("about"):
        lines.append(f"About: {about}")
    if named:
        lines.append(f"Cases: {named} (`casebridge where {cases[0]}`)")
    return "\n".join(lines)
