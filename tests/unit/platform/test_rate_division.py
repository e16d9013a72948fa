"""How a rate is divided among the processes that claim parts of it: plain arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.rates.division import WHOLE, Claim, due_share


def claims(*shares: tuple[int, bool]) -> list[Claim]:
    return [Claim(f"process {place}", parts, wants, "1") for place, (parts, wants) in enumerate(shares)]


@st.composite
def claims_within_the_whole(draw: st.DrawFn) -> list[Claim]:
    left, made = WHOLE, []
    for _ in range(draw(st.integers(0, 12))):
        parts = draw(st.integers(0, left))
        left -= parts
        made.append((parts, draw(st.booleans())))
    return claims(*made)


def test_a_single_busy_process_gets_everything() -> None:
    assert due_share([], wants_more=True) == WHOLE


def test_a_single_idle_process_leaves_half_for_a_newcomer() -> None:
    assert due_share([], wants_more=False) == WHOLE // 2


def test_a_busy_process_gets_what_an_idle_one_does_not_need() -> None:
    idle = claims((WHOLE // 4, False))
    assert due_share(idle, wants_more=True) == WHOLE * 3 // 4


@pytest.mark.parametrize("processes", [2, 3, 4, 5, 7, 16])
def test_busy_processes_get_equal_shares(processes: int) -> None:
    others = claims(*[(WHOLE // processes, True)] * (processes - 1))
    assert due_share(others, wants_more=True) == WHOLE // processes
    assert 3 * processes * due_share(others, wants_more=True) // WHOLE == 3, "a small budget loses nothing by rounding"


def test_a_newcomer_gets_nothing_before_the_others_have_made_room() -> None:
    assert due_share(claims((WHOLE, True)), wants_more=True) == 0


def test_a_process_with_everything_shrinks_to_an_equal_share_when_another_is_busy() -> None:
    assert due_share(claims((0, True)), wants_more=True) == WHOLE // 2


@given(claims_within_the_whole(), st.booleans())
def test_a_share_never_takes_what_another_claims(others: list[Claim], wants_more: bool) -> None:
    share = due_share(others, wants_more=wants_more)
    assert 0 <= share <= WHOLE - sum(claim.parts for claim in others)
