"""One row of the result: our figure, the figure of a peer, their ratio, and the goal."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

DIGITS = 4


@dataclass(frozen=True)
class Goal:
    """A limit for the ratio, or for our own figure."""

    of: Literal["ratio", "ours"]
    relation: Literal["<=", ">="]
    limit: float

    def __str__(self) -> str:
        return f"{self.of} {self.relation} {self.limit:g}"

    def is_met(self, ours: float, ratio: float | None) -> bool | None:
        value = ours if self.of == "ours" else ratio
        if value is None:
            return None
        return value <= self.limit if self.relation == "<=" else value >= self.limit


@dataclass(frozen=True)
class Pair:
    """One run: our figure and the peer's. `peer` is `None` if the peer has no such figure, or is not on this machine."""

    ours: float
    peer: float | None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None


@dataclass(frozen=True)
class Row:
    """One entry of `bench.json`. `server` is the MongoDB-protocol server that was used."""

    name: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    goal: str | None
    met: bool | None
    unit: str
    runs: int
    bound_by: str
    server: str
    details: dict[str, float] = field(default_factory=dict)
    """What `ours` consists of, where it is a sum of named parts."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def row_of(
    name: str,
    unit: str,
    pairs: Sequence[Pair],
    peer_name: str,
    bound_by: str,
    server: str,
    goal: Goal | None = None,
    *,
    runs: int | None = None,
    details: Mapping[str, float] | None = None,
) -> Row:
    """A row with the medians of several runs.

    The ratio is the median of the ratios of the runs, because whatever slows a run down slows both sides. `runs` is the number of
    measurements behind the pairs, if it is not the number of pairs.
    """
    ours = median(pair.ours for pair in pairs)
    peers = [pair.peer for pair in pairs if pair.peer is not None]
    ratios = [pair.ratio for pair in pairs if pair.ratio is not None]
    ratio = median(ratios) if ratios else None
    return Row(
        name=name,
        ours=round(ours, DIGITS),
        peer=round(median(peers), DIGITS) if peers else None,
        peer_name=peer_name,
        ratio=None if ratio is None else round(ratio, DIGITS),
        goal=str(goal) if goal else None,
        met=goal.is_met(ours, ratio) if goal else None,
        unit=unit,
        runs=runs or len(pairs),
        bound_by=bound_by,
        server=server,
        details=dict(details or {}),
    )
