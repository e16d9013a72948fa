"""Wrong data in FS and WISEflow.

Numbers are swapped, given twice, mistyped and corrected. Rows are malformed, removed and opened again. Groups have one
submission. The simulators store how each case must end (`expected`), and the counts use it. The seed decides what happens and
when. It happens to the next case that fits.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

from simulators.control_client import ControlClient

EARLY: Final = 0.35
"""Before this part of the work is done, many requests wait for their answer."""
LATE: Final = 0.7
"""Early enough that a correction and what follows it still happen while there are faults."""
REQUESTS_FOR_ONE: Final = 250
FEWEST: Final = 2
ROUNDS_UNTIL_CORRECTED: Final = 2
"""Calls of `advance`, some three seconds apart: long enough that a wrong number can be read as the right one."""
IDENTITY: Final = "identity"
MALFORMED_ROW: Final = "odd_row"
REGISTERED: Final = "registered"
HUGE: Final = 17_000_000
"""More characters than a document of MongoDB holds bytes."""
Row = dict[str, Any]


class DataFault(StrEnum):
    """The ways in which data is wrong."""

    SWAPPED_IN_FS = "numbers swapped in FS"
    SWAPPED_IN_BOTH = "numbers swapped in both systems"
    GIVEN_TWICE = "one number for two persons"
    MISTYPED = "number mistyped, then corrected"
    THERE_AND_BACK = "number changed after the request was sent, and changed back"
    OTHER_NAMES = "names of another in WISEflow"
    NO_NAMES = "no names of other systems in WISEflow"
    MALFORMED_ROW = "malformed row"
    HUGE_ROW = "huge row, then corrected"
    REMOVED = "row removed"
    REMOVED_AND_BACK = "row removed, then back"
    REOPENED = "row opened again after it was registered"
    GROUP = "group with one submission"
    REMOVED_BESIDE_MALFORMED = "row removed beside a malformed row that may be it"


ONLY_ONE: Final = frozenset({DataFault.HUGE_ROW})
AT_FIRST: Final = frozenset({
    DataFault.SWAPPED_IN_FS, DataFault.GIVEN_TWICE, DataFault.MISTYPED, DataFault.OTHER_NAMES, DataFault.NO_NAMES,
    DataFault.GROUP,
})  # fmt: skip
"""Faults that exist before FS shows the request. The others happen during the run."""
EARLY_ONES: Final = frozenset({
    DataFault.SWAPPED_IN_BOTH, DataFault.THERE_AND_BACK, DataFault.REMOVED, DataFault.REMOVED_AND_BACK,
    DataFault.REMOVED_BESIDE_MALFORMED,
})  # fmt: skip
"""Faults that need a request under way."""
MALFORMED_ROWS: Final[tuple[dict[str, Any], ...]] = (
    {"raw": {"kandidatnr": "A-17"}},
    {"raw": {"datoKlageMottat": "9999-12-31"}, "omit": ["frist"]},
    {"omit": ["personlopenr"]},
    {"raw": {"datoKlageMottat": "i fjor"}},
    {"raw": {"kandidatnr": None, "kommisjonsId": ["1"]}},
)


@dataclass(frozen=True)
class _Planned:
    at: float
    kind: DataFault


@dataclass
class _Correction:
    """A correction that is made when FS has shown the row for so many more rounds."""

    case_id: int
    make: Callable[[], object]
    rounds: int = ROUNDS_UNTIL_CORRECTED


class DataFaults:
    """Injects the data faults that are due at this point of the work, and corrects those that are to be corrected."""

    def __init__(self, control: ControlClient, seed: int, requests: int, without_numbers: frozenset[str]) -> None:
        """`without_numbers`: institutions whose list of participants has no candidate numbers."""
        self._control = control
        self._without_numbers = without_numbers
        self._draws = random.Random(f"{seed}:data")  # noqa: S311 - a seed must repeat it
        self._planned = self._plan(requests)
        self._corrections: list[_Correction] = []
        self._malformed_rows = 0
        self.done: Counter[DataFault] = Counter()
        self.corrected: set[int] = set()
        """Cases whose data are right again. An operator replays the messages that were set aside for them."""

    def _plan(self, requests: int) -> list[_Planned]:
        planned = [
            _Planned(0.0 if kind in AT_FIRST else self._draws.uniform(0.0, EARLY if kind in EARLY_ONES else LATE), kind)
            for kind in DataFault
            for _ in range(1 if kind in ONLY_ONE else max(FEWEST, requests // REQUESTS_FOR_ONE))
        ]
        return sorted(planned, key=lambda one: one.at)

    @property
    def are_over(self) -> bool:
        return not self._planned and not self.to_correct

    @property
    def to_correct(self) -> int:
        """How many wait for their correction. A planned fault that fits no case does not happen."""
        return len(self._corrections)

    def advance(self, done: float) -> None:
        """`done` is the part of the work that is done. A fault that fits no case waits."""
        if self.are_over:
            return
        rows = self._control.cases()
        for planned in [one for one in self._planned if one.at <= done]:
            if self._do(planned.kind, rows):
                self._planned.remove(planned)
                self.done[planned.kind] += 1
        held = {row["caseId"] for row in rows if row["state"] == "held"}
        for correction in [one for one in self._corrections if one.case_id not in held]:
            correction.rounds -= 1
            if correction.rounds < 0:
                self._correct(correction)

    def correct_malformed_rows(self, exam_ids: Collection[str]) -> None:
        """Correct the malformed rows of these exams, as an alert asks for. They are then requests like others."""
        for row in self._control.cases():
            if row["examId"] in exam_ids and row["expected"] == MALFORMED_ROW:
                self._control.change(row["caseId"], raw={}, omit=[], expected=REGISTERED)
                self.corrected.add(row["caseId"])
                sys.stderr.write("       data: malformed row corrected, for which another request waited\n")

    def _correct(self, correction: _Correction) -> None:
        self._corrections.remove(correction)
        correction.make()
        self.corrected.add(correction.case_id)

    def _do(self, kind: DataFault, rows: Sequence[Row]) -> bool:
        """Whether a case was found that it fits."""
        done = self._functions[kind](self, rows)
        if done is None:
            return False
        for row in done:
            row["dataFaults"] = [*row["dataFaults"], kind]
        sys.stderr.write(f"       data: {kind}\n")
        return True

    # The cases that a fault fits

    def _untouched(self, rows: Sequence[Row], *states: str) -> list[Row]:
        found = [
            row
            for row in rows
            if row["state"] in states and row["expected"] == REGISTERED and not row["dataFaults"]
            and row["participantId"] is not None
        ]  # fmt: skip
        self._draws.shuffle(found)
        return found

    def _pairs(self, rows: Sequence[Row], first: tuple[str, ...], second: tuple[str, ...]) -> Iterator[tuple[Row, Row]]:
        """Two cases of the same exam without a data fault, each in one of these states."""
        others = self._untouched(rows, *second)
        for one in self._untouched(rows, *first):
            for other in others:
                if other is not one and other["examId"] == one["examId"]:
                    yield one, other

    # The faults. Each returns the cases that it changed, or `None`

    def _swap_in_fs(self, rows: Sequence[Row]) -> list[Row] | None:
        for one, other in self._pairs(rows, ("held",), ("held",)):
            self._control.change(one["caseId"], swapWith=other["caseId"], expected=IDENTITY)
            return [one, other]
        return None

    def _swap_in_both(self, rows: Sequence[Row]) -> list[Row] | None:
        for one, other in self._pairs(rows, ("dispatched", "visible", "held"), ("dispatched", "visible", "held")):
            self._control.change(one["caseId"], swapWith=other["caseId"], in_wiseflow=True)
            return [one, other]
        return None

    def _give_twice(self, rows: Sequence[Row]) -> list[Row] | None:
        for one, other in self._pairs(rows, ("held",), ("held", "visible", "dispatched")):
            self._control.change(one["caseId"], kandidatnr=other["kandidatnr"], expected=IDENTITY)
            return [one, other]
        return None

    def _mistype(self, rows: Sequence[Row]) -> list[Row] | None:
        return self._mistype_and_correct(self._pairs(rows, ("held",), ("held", "visible", "dispatched")))

    def _there_and_back(self, rows: Sequence[Row]) -> list[Row] | None:
        return self._mistype_and_correct(self._pairs(rows, ("dispatched",), ("held", "visible", "dispatched")))

    def _mistype_and_correct(self, pairs: Iterator[tuple[Row, Row]]) -> list[Row] | None:
        for one, other in pairs:
            case_id, number = one["caseId"], one["kandidatnr"]
            self._control.change(case_id, kandidatnr=other["kandidatnr"], expected=IDENTITY)
            back = partial(self._control.change, case_id, kandidatnr=number, expected=REGISTERED)
            self._corrections.append(_Correction(case_id, back))
            return [one, other]
        return None

    def _give_other_names(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "held"):
            names = [
                {"name": "Feide", "value": f"ingen{row['caseId']}@{row['orgId']}"},
                {"name": "FS", "value": str(row["caseId"])},
            ]
            self._control.change(row["caseId"], externalIds=names, expected=IDENTITY)
            return [row]
        return None

    def _take_names(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "held"):
            if row["orgId"] not in self._without_numbers:
                self._control.change(row["caseId"], externalIds=[])
                return [row]
        return None

    def _add_malformed_row(self, rows: Sequence[Row]) -> list[Row] | None:
        self._add(rows, **MALFORMED_ROWS[self._malformed_rows % len(MALFORMED_ROWS)])
        self._malformed_rows += 1
        return []

    def _add_huge_row(self, rows: Sequence[Row]) -> list[Row] | None:
        case_id = self._add(rows, raw={"merknad": "x" * HUGE})["caseId"]
        back = partial(self._control.change, case_id, raw={}, expected=REGISTERED)
        self._corrections.append(_Correction(case_id, back))
        return []

    def _add(self, rows: Sequence[Row], **order: Any) -> dict[str, Any]:
        """A request on an exam that has other requests, if there is one with room."""
        for row in self._untouched(rows, "held", "visible")[:5]:
            try:
                return self._control.add_request(row["orgId"], examId=row["examId"], expected=MALFORMED_ROW, **order)
            except ValueError:
                continue  # its exam has several flows, or every candidate has a request
        return self._control.add_request(rows[0]["orgId"], expected=MALFORMED_ROW, **order)

    def _remove(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "visible", "dispatched"):
            self._control.withdraw(row["caseId"], how="removed")
            return [row]
        return None

    def _remove_beside_malformed(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "visible", "dispatched")[:5]:
            try:
                self._control.add_request(
                    row["orgId"], examId=row["examId"], expected=MALFORMED_ROW, omit=["personlopenr"]
                )
            except ValueError:
                continue  # its exam has several flows, or every candidate has a request
            self._control.withdraw(row["caseId"], how="removed")
            return [row]
        return None

    def _remove_and_bring_back(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "visible", "dispatched"):
            case_id = row["caseId"]
            self._control.withdraw(case_id, how="removed")
            self._corrections.append(_Correction(case_id, partial(self._control.withdraw, case_id, how="reopened")))
            return [row]
        return None

    def _reopen(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, REGISTERED):
            self._control.withdraw(row["caseId"], how="reopened")
            return [row]
        return None

    def _make_group(self, rows: Sequence[Row]) -> list[Row] | None:
        for row in self._untouched(rows, "held")[:5]:
            try:
                self._control.add_request(row["orgId"], groupWith=row["caseId"])
            except ValueError:
                continue  # every candidate of its flow has a request
            return [row]
        return None

    _functions: Final[dict[DataFault, Callable[["DataFaults", Sequence[Row]], list[Row] | None]]] = {
        DataFault.SWAPPED_IN_FS: _swap_in_fs,
        DataFault.SWAPPED_IN_BOTH: _swap_in_both,
        DataFault.GIVEN_TWICE: _give_twice,
        DataFault.MISTYPED: _mistype,
        DataFault.THERE_AND_BACK: _there_and_back,
        DataFault.OTHER_NAMES: _give_other_names,
        DataFault.NO_NAMES: _take_names,
        DataFault.MALFORMED_ROW: _add_malformed_row,
        DataFault.HUGE_ROW: _add_huge_row,
        DataFault.REMOVED: _remove,
        DataFault.REMOVED_AND_BACK: _remove_and_bring_back,
        DataFault.REOPENED: _reopen,
        DataFault.GROUP: _make_group,
        DataFault.REMOVED_BESIDE_MALFORMED: _remove_beside_malformed,
    }
