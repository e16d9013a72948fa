"""One change of one case, as a value. Many of them are written with one command (`CaseStore.advance`).

Every advance sets absolute values and moves a case only along an allowed transition. So a repeated or late write changes
nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import UpdateOne

from casebridge.cases.lifecycle import Lifecycle
from casebridge.personal_data import Personal

Values = Mapping[str, Any]


@dataclass(frozen=True)
class CaseAdvance:
    """`values` are set in any state of the case. `moved` and the state `to` are set only if the transition is allowed."""

    case_id: str
    to: str | None = None
    """The state that the case moves to. `None` if the state does not change."""
    moved: Values = field(default_factory=dict)
    values: Personal[Values] = field(default_factory=dict, repr=False)
    only_if: Values = field(default_factory=dict)
    """A further condition of both writes, as a query."""

    def move(self, lifecycle: Lifecycle) -> UpdateOne:
        """The write for a case that may move to the state `to`. Raises `ValueError` for an unknown state."""
        before = lifecycle.states if self.to is None else lifecycle.before(self.to)
        state = {} if self.to is None else {"state": str(lifecycle.state(self.to))}
        where = {"_id": {"$eq": self.case_id}, **self.only_if, "state": {"$in": list(before)}}
        return UpdateOne(where, {"$set": {**self.values, **state, **self.moved}})

    def note(self) -> UpdateOne:
        """The write for a case that cannot move to the state `to`, because it is further. It sets only the values."""
        return UpdateOne({"_id": {"$eq": self.case_id}, **self.only_if}, {"$set": dict(self.values)})
