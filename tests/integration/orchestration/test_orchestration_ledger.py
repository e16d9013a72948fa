"""The counts of one read of FS: each open row has a case that a message carries, whatever changes meanwhile."""

import pytest

from assets.explanations.ledger import Ledger, draw_up
from casebridge.sources.polling import PollOutcome


def account(
    open_rows: int, open_cases: list[str], finished_rows: int = 0, finished_cases: tuple[str, ...] = ()
) -> Ledger:
    """Count the rows. Each case is named by its state."""
    names = [f"{number} {state}" for number, state in enumerate([*open_cases, *finished_cases])]
    outcome = PollOutcome(
        "uis.no/prod",
        counts={"open": open_rows, "finished": finished_rows, "unreadable": 0},
        open_cases=tuple(names[: len(open_cases)]),
        finished_cases=tuple(names[len(open_cases) :]),
    )
    return draw_up([outcome], {name: name.split()[1] for name in names})


@pytest.mark.parametrize(
    ("open_rows", "open_cases", "lost"),
    [
        pytest.param(0, [], 0, id="an empty month"),
        pytest.param(4, ["requested", "requested", "dispatched", "set_aside"], 0, id="all on their way"),
        pytest.param(3, ["requested", "dispatched"], 1, id="one without a case"),
        pytest.param(2, ["dispatched", "registered"], 0, id="one registered while FS was read"),
        pytest.param(1, ["withdrawn"], 1, id="a case that waits for nothing carries nothing"),
    ],
)
def test_a_row_is_lost_if_it_is_open_in_fs_and_no_message_carries_it(
    open_rows: int, open_cases: list[str], lost: int
) -> None:
    assert account(open_rows, open_cases).lost == lost


def test_rows_that_were_finished_by_hand_before_our_start_are_history() -> None:
    ledger = account(0, [], 9, ("registered", "shown", "withdrawn"))

    assert (ledger.fs_total, ledger.finished_elsewhere, ledger.lost) == (9, 6, 0)


def test_history_does_not_hide_a_loss() -> None:
    assert account(1, [], 9).lost == 1
