"""How `casebridge status` looks in a terminal of eighty columns, the narrowest that operators use."""

import io
from datetime import UTC, datetime

import pytest

import command_line.status as status_command
from casebridge.operators.status import InstitutionStatus, QueueDepth, Status
from command_line.output import console

AT = datetime(2026, 11, 2, 8, 30, 15, tzinfo=UTC)
NONE = {"requested": 0, "dispatched": 0, "registered": 0, "withdrawn": 0}
PLAIN = InstitutionStatus("hsunnfjorden.no/prod", {**NONE, "registered": 1030}, set_aside=1, dead=1)
UNUSUAL = InstitutionStatus(
    "dovre.no/test",
    {**NONE, "dispatched": 10000, "withdrawn": 2},
    waiting=10000,
    discarded=1,
    paused="wiseflow.credentials_refused",
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written = io.StringIO()
    monkeypatch.setattr(status_command, "results", console(width=80, file=written))
    depths = [QueueDepth("wiseflow-begrunnelse", "dead", 15, AT)]
    status_command.show_status(Status(AT, depths, [PLAIN, UNUSUAL], [], {}, 0, 1, None))
    return written.getvalue().splitlines()


def test_an_institution_has_its_name_and_figures_on_one_line(shown: list[str]) -> None:
    line = next(line for line in shown if "sunnfjorden" in line)
    assert line.split() == ["hsunnfjorden.no/prod", "0", "0", "1030", "1", "0", "1"]


def test_no_column_is_lost_and_no_heading_broken(shown: list[str]) -> None:
    headings = next(line for line in shown if "institution" in line)
    assert headings.split() == ["institution", "asked", "sent", "done", "aside", "queued", "dead", "also"]
    assert max(map(len, shown)) <= 80


def test_unusual_states_are_shown_beside_the_figures(shown: list[str]) -> None:
    start = next(number for number, line in enumerate(shown) if "dovre.no" in line)
    last_column = shown[start].index("2 withdrawn")
    remarks = "".join(line[last_column:].strip() for line in shown[start:-1])
    assert remarks == "2 withdrawn, 1discarded,paused:wiseflow.credentials_refused"


def test_the_time_of_the_oldest_message_is_not_broken(shown: list[str]) -> None:
    assert any("wiseflow-begrunnelse" in line and "2026-11-02 08:30:15" in line for line in shown)
