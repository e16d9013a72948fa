"""States and allowed transitions are data. A table that contradicts itself is refused."""

import pytest

from casebridge.cases.lifecycle import Lifecycle
from casebridge.exams.explanations.case_state import LIFECYCLE, CaseState

STATES = {"new": ("done",), "done": ()}


@pytest.mark.parametrize(
    ("initial", "transitions", "open_states", "needs_message"),
    [
        ("gone", STATES, (), ()),
        ("new", {"new": ("gone",)}, (), ()),
        ("new", STATES, ("gone",), ()),
        ("new", STATES, (), ("gone",)),
    ],
)
def test_a_table_names_only_its_own_states(
    initial: str, transitions: dict[str, tuple[str, ...]], open_states: tuple[str, ...], needs_message: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="not a state"):
        Lifecycle(initial, transitions, open_states, needs_message)


def test_an_unknown_state_is_not_quoted_in_the_error() -> None:
    with pytest.raises(ValueError, match="not a state") as raised:
        LIFECYCLE.state("Kari Nordmann")
    assert "Kari" not in str(raised.value)
    with pytest.raises(ValueError, match="not a state"):
        LIFECYCLE.state(["requested"])


def test_the_states_of_an_explanation_are_stored_as_texts() -> None:
    assert LIFECYCLE.states == ("requested", "dispatched", "registered", "shown", "withdrawn")
    assert {type(state) for state in LIFECYCLE.states} == {str}
    assert LIFECYCLE.state("dispatched") is CaseState.DISPATCHED


@pytest.mark.parametrize(
    ("state", "before"),
    [
        (CaseState.REQUESTED, ("withdrawn",)),
        (CaseState.DISPATCHED, ("requested",)),
        (CaseState.REGISTERED, ("requested", "dispatched", "withdrawn")),
        (CaseState.SHOWN, ("registered",)),
        (CaseState.WITHDRAWN, ("requested", "dispatched")),
    ],
)
def test_from_which_states_an_explanation_reaches_each_state(state: CaseState, before: tuple[str, ...]) -> None:
    assert LIFECYCLE.before(state) == before
