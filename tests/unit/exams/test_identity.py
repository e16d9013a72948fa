"""The rule that decides whether a participant is the person who asked."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.exams.identity import Comparison, Evidence, Person, Piece, compare
from casebridge.personal_data import personal_fields

KARI = Person(kandidatnr=1042, personlopenr=481223, user_name="kari.n", realm="uis.no")
NUMBER, NAME, FS = Piece.CANDIDATE_NUMBER, Piece.USER_NAME, Piece.PERSON_NUMBER


def evidence(number: str | None = None, name: str | None = None, fs: str | None = None) -> Evidence:
    return Evidence(number, frozenset({name} - {None}), frozenset({fs} - {None}))


@pytest.mark.parametrize(
    ("said", "agreeing", "contradicting"),
    [
        (evidence("1042", "kari.n@uis.no", "481223"), {NUMBER, NAME, FS}, set()),
        (evidence("1042"), {NUMBER}, set()),
        (evidence(None, "KARI.N", None), {NAME}, set()),
        (evidence("1043", "kari.n@uis.no", "481223"), {NAME, FS}, {NUMBER}),
        (evidence("1042", "ola.s@uis.no", "481224"), {NUMBER}, {NAME, FS}),
        (evidence("1042", "kari.n@annen.no"), {NUMBER}, {NAME}),
        (evidence("", "@uis.no", None), set(), set()),
        (evidence(), set(), set()),
    ],
)
def test_each_piece_that_both_sides_have_is_compared(
    said: Evidence, agreeing: set[Piece], contradicting: set[Piece]
) -> None:
    assert compare(KARI, said) == Comparison(frozenset(agreeing), frozenset(contradicting))


def test_a_user_name_does_not_contradict_a_request_without_one() -> None:
    nameless = Person(1042, 481223, None, "uis.no")
    assert compare(nameless, evidence("1042", "ola.s@uis.no")) == Comparison(frozenset({NUMBER}), frozenset())


def test_one_of_several_names_must_agree() -> None:
    several = Evidence(None, frozenset({"s123@stud.uis.no", "kari.n@uis.no"}), frozenset())
    assert compare(KARI, several).agreeing == {NAME}


OLA = Person(kandidatnr=1043, personlopenr=481224, user_name="ola.s", realm="uis.no")
ABOUT = {
    KARI: evidence("1042", "kari.n@uis.no", "481223"),
    OLA: evidence("1043", "ola.s@uis.no", "481224"),
}


@given(st.lists(st.sampled_from([KARI, OLA, None]), min_size=3, max_size=3))
def test_a_mixture_of_two_persons_is_neither_of_them(sources: list[Person | None]) -> None:
    """In general: if a piece contradicts a person, the participant is not taken for that person, whatever else is mixed up."""
    parts = [
        getattr(ABOUT[who], part.name) if who else None for who, part in zip(sources, fields(Evidence), strict=True)
    ]
    mixed = Evidence(parts[0], parts[1] or frozenset(), parts[2] or frozenset())
    present = {who for who in sources if who is not None}
    for person in (KARI, OLA):
        comparison = compare(person, mixed)
        assert comparison.is_same == (present == {person})
        assert comparison.is_contradictory == (present == {KARI, OLA})


def test_the_text_of_a_comparison_names_no_person() -> None:
    text = compare(KARI, ABOUT[OLA]).summary + repr(KARI) + repr(ABOUT[OLA])
    assert not {"1042", "1043", "481223", "481224"} & set(text.replace("'", " ").split())
    assert "kari" not in text
    assert personal_fields(Person) == {"kandidatnr", "personlopenr", "user_name"}
    assert personal_fields(Evidence) == {"candidate_number", "user_names", "person_numbers"}
