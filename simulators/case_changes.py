"""Changes a case after it appeared: its row or its participant is changed, or its row is finished, removed or opened again.

These changes are ordered by the control interface. They are no part of a simulated system. A participant in WISEflow changes
only if the order says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Any

from simulators.bodies import LONGEST_NUMBER
from simulators.exam_case import REGISTERED, Case
from simulators.flow import Participant
from simulators.order_fields import ANYTHING, DAY, FLAG, LIST, OBJECT, TEXT, TEXTS, Form, check_fields, whole
from simulators.state import World

WITHDRAWN = "withdrawn"
REOPENED = "reopened"
"""The expected end of a row that was opened again after its registration: an alert, or another registration."""
IN_ROW = frozenset({"kandidatnr", "swapWith", "brukernavn", "raw", "omit"})
IN_WISEFLOW = frozenset({"uniqueExamId", "externalIds", "in_wiseflow"})
FIELDS = {
    "caseId": whole(),
    "expected": TEXT,
    "frist": DAY,
    "kommisjonsId": TEXT.or_null(),
    "kandidatnr": Form("a whole number, or its digits", lambda value: whole().fits(value) or _is_digits(value)),
    "swapWith": whole(),
    "brukernavn": ANYTHING,
    "raw": OBJECT,
    "omit": TEXTS,
    "uniqueExamId": Form("text or a whole number", lambda value: TEXT.fits(value) or whole().fits(value)),
    "externalIds": LIST.or_null(),
    "in_wiseflow": FLAG,
}
"""``raw`` and ``brukernavn`` take any JSON value, so that tests can simulate rows with errors in FS."""
WITHDRAWAL = {"caseId": whole(), "how": TEXT, "text": TEXT.or_null()}


def _is_digits(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NUMBER and value.isascii() and value.isdecimal()


class CaseChanges:
    """Changes to the cases of the simulated systems."""

    def __init__(self, world: World) -> None:
        self._world = world

    def change(self, order: dict[str, Any]) -> dict[str, Any]:
        """Change a row in FS, and its participant in WISEflow if the order says so.

        :raises ValueError: an unknown field, a value of another form, no such case, or no participant although the order needs
            one; then nothing is changed
        """
        check_fields(order, FIELDS, needed={"caseId"})
        case = self._case(order["caseId"])
        other = self._case(order["swapWith"]) if "swapWith" in order else None
        self._check_participants(case, other, order)
        for one in (case, other):
            if one is not None and "expected" in order:
                one.expected = order["expected"]
        if "frist" in order:
            case.deadline = date.fromisoformat(order["frist"])
        if "kommisjonsId" in order:
            case.kommisjons_id = order["kommisjonsId"]
        self._change_row(case, order)
        self._change_participant(case, order)
        if other is not None:
            case.kandidatnr, other.kandidatnr = other.kandidatnr, case.kandidatnr
            self._changed(other, ["swapWith"])
        if order.get("in_wiseflow"):
            for one in (case, other):
                if one is not None:
                    self._set_number(one, str(one.kandidatnr))
        return self._changed(case, sorted((IN_ROW | IN_WISEFLOW) & set(order)))

    def withdraw(self, order: dict[str, Any]) -> dict[str, Any]:
        """Finish a case by hand in FS, remove its row, or open it again.

        :raises ValueError: no such case, or an unknown ``how``
        """
        check_fields(order, WITHDRAWAL, needed={"caseId"})
        case, how = self._case(order["caseId"]), order.get("how", "finished")
        ways: dict[str, Callable[[Case, str | None], None]] = {
            "finished": _finish,
            "removed": _remove,
            "reopened": _reopen,
        }
        if how not in ways:
            raise ValueError(f"a case cannot be withdrawn so: {how}; choices: {sorted(ways)}")
        ways[how](case, order.get("text"))
        return self._changed(case, [how])

    def _check_participants(self, case: Case, other: Case | None, order: dict[str, Any]) -> None:
        if order.get("in_wiseflow") or {"uniqueExamId", "externalIds"} & set(order):
            self._participant(case)
        if order.get("in_wiseflow") and other is not None:
            self._participant(other)

    def _change_row(self, case: Case, order: dict[str, Any]) -> None:
        if "kandidatnr" in order:
            case.kandidatnr = int(order["kandidatnr"])
        if "raw" in order:
            case.raw = dict(order["raw"])
        if "brukernavn" in order:
            case.raw = case.raw | {"brukernavn": order["brukernavn"]}
        if "omit" in order:
            case.omit = frozenset(order["omit"])

    def _change_participant(self, case: Case, order: dict[str, Any]) -> None:
        if "externalIds" in order:
            participant = self._participant(case)
            participant.external_ids, participant.json = order["externalIds"], None
        if "uniqueExamId" in order:
            self._set_number(case, str(order["uniqueExamId"]))

    def _set_number(self, case: Case, number: str) -> None:
        participant = self._participant(case)
        participant.unique_exam_id, participant.json = number, None

    def _participant(self, case: Case) -> Participant:
        participant = self._world.participant_of_case(case)
        if participant is None:
            raise ValueError("the case has no participant in WISEflow")
        return participant

    def _case(self, case_id: object) -> Case:
        case = self._world.cases.get(case_id) if isinstance(case_id, int) else None
        if case is None:
            raise ValueError("no such caseId")
        return case

    def _changed(self, case: Case, faults: list[str]) -> dict[str, Any]:
        case.data_faults += faults
        case.changed_at = time.time()
        self._world.waiting.changed()
        return {"caseId": case.case_id, "expected": case.expected}


def _finish(case: Case, text: str | None) -> None:
    case.finished_by_hand = True
    case.communicated = date.today().isoformat()  # noqa: DTZ011 - an officer's calendar
    if text is not None:
        case.explanation = {"tekst": text, "sensor": "FS", "format": "text/plain"}
    _expect_withdrawal(case)


def _remove(case: Case, _text: str | None) -> None:
    case.removed = True
    _expect_withdrawal(case)


def _expect_withdrawal(case: Case) -> None:
    if not case.registered and case.expected == REGISTERED:
        case.expected = WITHDRAWN


def _reopen(case: Case, _text: str | None) -> None:
    if case.registered and case.expected == REGISTERED:
        case.expected = REOPENED
    elif case.expected == WITHDRAWN:
        case.expected = REGISTERED
    case.reopen()
