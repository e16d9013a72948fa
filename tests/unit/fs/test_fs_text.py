"""Which texts of explanations are sent to FS, and which are an error instead."""

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import PermanentError
from resources.fs.text import carried_text
from resources.text.readable_text import LONGEST, readable_text


def test_ordinary_texts_are_not_changed() -> None:
    text = "Svaret er godt 👍🏽,\tmen «æøå ÆØÅ»\r\nmangler drøfting \u2013 se §\u00a04.\n"
    carried = carried_text(text, 1000)
    assert (carried.text, carried.removed) == (text, 0)


def test_control_characters_are_removed_and_counted() -> None:
    carried = carried_text("a\x00b\x0bc\x1fd\ud800e\ufffe", 1000)
    assert (carried.text, carried.removed) == ("abcde", 5)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\x00\x01", "\u00a0", "\u200b\u200c", "\u00ad\u2060", "\u0301", "\u3164\u2800"]
)
def test_an_empty_explanation_is_never_registered(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        carried_text(text, 1000)
    assert caught.value.code == "fs.text_empty"


def test_the_limit_counts_bytes_and_nothing_is_cut() -> None:
    assert carried_text("æ" * 5, 10).text == "æ" * 5
    with pytest.raises(PermanentError) as caught:
        carried_text("æ" * 5 + "x", 10)
    assert caught.value.code == "fs.text_too_long"
    assert "æ" not in str(caught.value)


@pytest.mark.parametrize("unit", ["<p>Hei</p>", "&oslash;", "<p>\x00</p>", "x"])
def test_a_text_that_was_too_long_to_be_read_is_never_sent(unit: str) -> None:
    """Even if FS would accept it: it may be HTML. Also if so much is removed that FS would accept the rest."""
    html = readable_text(unit + "\x00" * (LONGEST - len(unit) + 1))
    with pytest.raises(PermanentError) as caught:
        carried_text(html, 10 * LONGEST)
    assert caught.value.code == "fs.text_too_long"


@given(st.text(st.characters(exclude_categories=[]), min_size=1))
def test_every_sent_text_survives_json_utf8_and_xml(text: str) -> None:
    try:
        carried = carried_text(text, 10_000).text
    except PermanentError:
        return
    assert json.loads(json.dumps(carried).encode("utf-8")) == carried
    element = ET.Element("tekst")
    element.text = carried
    parsed = ET.fromstring(ET.tostring(element, encoding="utf-8"))  # noqa: S314 our own text
    assert parsed.text == carried.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text())
def test_the_text_is_not_kept_in_the_representation(text: str) -> None:
    marked = f"secret{text}"
    assert "secret" not in repr(carried_text(marked, 10_000))
