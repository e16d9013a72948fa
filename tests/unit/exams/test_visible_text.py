"""A text without visible characters counts as empty."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.exams.visible_text import says_something

UNSEEN = {
    "nothing": "",
    "white space": " \t\r\n\x0b\x0c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphens": "\xad\xad",
    "controls": "\x00\x07\x1b\x7f\x9b",
    "directions": "\u200e\u200f\u202a\u202e\u2066\u2069\u061c",
    "marks without a letter": "\u0301\u034f\ufe0f\u20dd",
    "variation selectors and tags": "\ufe00\U000e0100\U000e0020",
    "fillers": "\u3164\u115f\u1160\uffa0\u17b4\u180e",
    "Braille without dots": "\u2800",
    "stand-ins": "\ufffc\ufffd\ufff9",
    "not characters": "\ud800\ufffe\ue000\U0010ffff",
}


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN)
def test_invisible_characters_alone_are_an_empty_text(text: str) -> None:
    assert not says_something(text)


@pytest.mark.parametrize(
    "text", ["a", "å", "e\u0301", "7", ".", "-", "§", "👍🏽", "שלום", "字", "\u200b\xad x \xad", "ﷺ"]
)
def test_one_visible_character_makes_a_text(text: str) -> None:
    assert says_something(text)


@given(st.text(st.characters(exclude_categories=["L", "N", "P", "S"])))
def test_a_text_without_letters_numbers_signs_or_symbols_is_empty(text: str) -> None:
    assert not says_something(text)


@given(st.text(st.characters(exclude_categories=[])), st.sampled_from("".join(UNSEEN.values())))
def test_invisible_characters_change_nothing_in_any_place(text: str, unseen: str) -> None:
    for place in range(len(text) + 1):
        assert says_something(text[:place] + unseen + text[place:]) is says_something(text)


@given(st.text())
def test_the_form_of_unicode_does_not_matter(text: str) -> None:
    assert says_something(unicodedata.normalize("NFC", text)) is says_something(text)
