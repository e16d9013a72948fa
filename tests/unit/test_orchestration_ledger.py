"""The account of one reading: what is open in FS is carried by a case, whatever moves meanwhile."""

import pytest

from assets.ledger import Ledger, draw_up
from casebridge.exams.polling import PollOutcome


def account(fs: dict[str, int], before: dict[str, int], after: dict[str, int]) -> Ledger:
    outcome = PollOutcome("uis.no/prod", counts={"open": 0, "finished": 0, "unreadable": 0, **fs})
    return draw_up([outcome], before, after)


@pytest.mark.parametrize(
    ("fs", "before", "after", "lost"),
    [
        pytest.param({}, {}, {}, 0, id="an empty month"),
        pytest.param({"open": 5}, {}, {"requested": 3, "dispatched": 1, "set_aside": 1}, 0, id="all on their way"),
        pytest.param({"open": 5}, {}, {"requested": 3, "dispatched": 1}, 1, id="one without a case"),
        pytest.param({"finished": 4}, {"registered": 3, "shown": 1}, {"registered": 3, "shown": 1}, 0, id="all done"),
        pytest.param({"open": 1, "finished": 9}, {}, {}, 1, id="history of others does not hide a loss"),
        pytest.param(
            {"open": 2}, {"dispatched": 2}, {"dispatched": 1, "registered": 1}, 0, id="one registered while FS was read"
        ),
        pytest.param(
            {"open": 2, "finished": 5},
            {"registered": 5},
            {"registered": 5, "dispatched": 1},
            1,
            id="a loss beside done ones",
        ),
        pytest.param({}, {"dispatched": 1}, {"dispatched": 1}, 0, id="a row that FS has removed is no loss"),
    ],
)
def test_lost_is_what_is_open_in_fs_and_nobody_carries(
    fs: dict[str, int], before: dict[str, int], after: dict[str, int], lost: int
) -> None:
    assert account(fs, before, after).lost == lost


def test_what_was_finished_by_hand_before_we_came_is_history() -> None:
    ledger = account({"finished": 9}, {}, {"registered": 2, "withdrawn": 1})

    assert (ledger.fs_total, ledger.finished_elsewhere, ledger.lost) == (9, 6, 0)
