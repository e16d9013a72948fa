"""Which alerts are muted: only those that a valid, unexpired row clearly names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, Regex
from hypothesis import given
from hypothesis import strategies as st

from casebridge.alerts.blacklist import muted_by

NOW = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
ALERT = {
    "orgId": "uis.no",
    "submodule": "wiseflow-begrunnelse",
    "code": "wiseflow.participant_missing",
    "cause": "No participant on flow 771203 has the candidate's exam id.",
}


def mutes(**row: Any) -> bool:
    return muted_by(ALERT, [row], NOW) is not None


def test_a_row_mutes_by_institution_submodule_and_pattern() -> None:
    assert mutes(orgId="uis.no", submodule="wiseflow-begrunnelse", pattern="participant_missing")
    assert mutes(pattern="flow 7712\\d+")


@pytest.mark.parametrize(
    "row",
    [
        {"orgId": "uio.no", "pattern": "participant"},
        {"submodule": "wiseflow-klage", "pattern": "participant"},
        {"pattern": "flow_ambiguous"},
        {"pattern": "participant", "expires": NOW - timedelta(seconds=1)},
        {"pattern": "participant", "expires": "2026-01-08T08:59:59+00:00"},
        {"pattern": "participant", "expires": "sometime"},
        {"pattern": "participant("},
    ],
)
def test_a_row_that_is_not_clear_mutes_nothing(row: dict[str, Any]) -> None:
    assert not mutes(**row)


def test_a_row_that_expires_later_mutes() -> None:
    assert mutes(pattern="participant", expires=NOW + timedelta(days=1))
    assert mutes(pattern="participant", expires="2026-02-01T00:00:00")


def test_a_regular_expression_of_mongodb_mutes_what_it_names() -> None:
    assert mutes(pattern=Regex("PARTICIPANT_missing", "i"))
    assert mutes(pattern=Regex("participant"))
    assert not mutes(pattern=Regex("x404"))
    assert not mutes(pattern=Regex("participant("))


@pytest.mark.parametrize(
    "row",
    [
        {"pattern": 404},
        {"pattern": 4.5},
        {"pattern": True},
        {"pattern": "/participant/"},
        {"pattern": ["participant"]},
        {"pattern": {"$regex": "participant"}},
        {"pattern": ObjectId()},
        {"pattern": b"participant"},
        {"pattern": NOW},
        {"pattern": "participant", "expires": 1767866399},
        {"pattern": "participant", "expires": True},
        {"pattern": "participant", "expires": [NOW]},
        {"pattern": "participant", "orgId": 217},
        {"pattern": "participant", "orgId": ["uis.no"]},
        {"pattern": "participant", "orgId": Regex("uis")},
        {"pattern": "participant", "submodule": {"a": 1}},
        {"pattern": "p" * 100_000},
    ],
)
def test_a_row_of_another_type_mutes_nothing_and_breaks_nothing(row: dict[str, Any]) -> None:
    assert not mutes(**row)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|aa)+$",
        "(.*)*x",
        "a*a*a*a*b",
        "(a?){50}a{50}",
        "a?" * 25 + "a" * 25,
        "((a{1,9}){1,9}){1,9}!",
        r"(\w+)\1+x",
        "(?x)(a +) +$",
        "(?x:(a+) +)$",
        "(a|a)" * 50 + "!",
        "(.|.)" * 50 + "!",
        "(?:a|a?)" * 30 + "!",
        "(?#(a|" + "(a|a)" * 50 + "!",
        Regex("(a+) +$", "x"),
    ],
)
def test_a_pattern_that_may_take_for_ever_is_not_tried(pattern: str | Regex) -> None:
    alert = {**ALERT, "cause": "a" * 5000}
    assert muted_by(alert, [{"pattern": pattern}], NOW) is None


def test_a_pattern_at_the_limit_ends_soon() -> None:
    alert = {**ALERT, "cause": "a" * 5000}
    assert muted_by(alert, [{"pattern": "a*a*b"}], NOW) is None
    assert muted_by(alert, [{"pattern": "(a|a)" * 8 + "a*b"}], NOW) is None


def test_words_with_gaps_between_them_are_a_usable_pattern() -> None:
    assert mutes(pattern=".*flow .* has the candidate.*")
    assert mutes(pattern="^wiseflow\\.(participant|flow)_missing")


TEXTS = st.text("ab.*+?(){}[]\\|/^$1æ", max_size=20)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.binary(max_size=5)
    | st.datetimes()
    | st.just(Regex("a")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("orgId", "submodule", "pattern", "expires", "reason"), ANYTHING))
)
def test_no_row_raises_an_error(row: dict[str, Any]) -> None:
    muted_by(ALERT, [row], NOW)
