"""Ids of outside systems are opaque texts in the engine. Stored ids keep their form, and both forms are found."""

from typing import Any

import pytest
from bson import Int64

from casebridge.exams.external_id import both_forms, external_id, in_order, optional_external_id, stored_id


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (770008, "770008"), (Int64(770008), "770008"), (0, "0"), (-1, "-1"), (2**63 - 1, str(2**63 - 1)),
        ("770008", "770008"), ("exam-7f", "exam-7f"), ("0042", "0042"), ("a1:b2_c.3", "a1:b2_c.3"),
    ],
)  # fmt: skip
def test_a_stored_id_is_read_as_a_text(stored: Any, name: str) -> None:
    assert external_id(stored) == name
    assert optional_external_id(stored) == name


@pytest.mark.parametrize("stored", [None, True, 1.0, "", " 7", "Kari Nordmann", "7\n", "x" * 101, "é", [], {}, b"7"])
def test_any_other_value_is_no_id(stored: Any) -> None:
    with pytest.raises(ValueError, match="not an id"):
        external_id(stored)


def test_none_is_accepted_if_the_id_is_optional() -> None:
    assert optional_external_id(None) is None


@pytest.mark.parametrize("stored", [0, 7, -7, 2**63 - 1, -(2**63), "exam-7f", "0042", "-0", "00", "7.0", str(2**63)])
def test_an_id_is_stored_again_in_its_stored_form(stored: int | str) -> None:
    again = stored_id(external_id(stored))
    assert (again, type(again)) == (stored, type(stored))


def test_a_query_finds_numbers_and_texts() -> None:
    assert both_forms("42", "exam-7f", "007") == [42, "42", "exam-7f", "007"]


def test_numbers_are_sorted_by_value_and_before_texts() -> None:
    assert in_order({"10", "9", "b", "a"}) == ["9", "10", "a", "b"]
