"""The states of one kind of case and the allowed transitions between them, as data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Lifecycle:
    """A table of states. Raises `ValueError` if a part of it names a state that is not in the table."""

    initial: str
    """The state of a case that has just been opened."""
    transitions: Mapping[str, Collection[str]]
    """Each state, and the states that may follow it."""
    open: tuple[str, ...]
    """The states in which the case still waits for its outcome. Only an open case can be set aside or discarded."""
    needs_message: tuple[str, ...]
    """The open states in which a message must carry the case. In the other open states a poll looks for the answer."""

    def __post_init__(self) -> None:
        followers = (state for states in self.transitions.values() for state in states)
        for state in (self.initial, *self.open, *self.needs_message, *followers):
            self.state(state)

    @property
    def states(self) -> tuple[str, ...]:
        """All states, as they are stored."""
        return tuple(map(str, self.transitions))

    def state(self, stored: object) -> str:
        """The state that a document names. Raises `ValueError` for anything else, without repeating it."""
        for state in self.transitions:
            if state == stored:
                return state
        raise ValueError("not a state of this kind of case")

    def before(self, state: str) -> tuple[str, ...]:
        """The states from which a case may move to `state`, as they are stored. Raises `ValueError` if there is no such state."""
        after = self.state(state)
        return tuple(str(one) for one, followers in self.transitions.items() if after in followers)
