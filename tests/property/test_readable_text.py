"""Generated texts and HTML: a plain text stays as it is, and no letter, cell or number of an item is lost."""

import re
from html import escape

from hypothesis import assume, given
from hypothesis import strategies as st

from resources.text.html_text import EMPTY, KNOWN
from resources.text.readable_text import readable_text

ANY_TEXT = st.text(st.characters(exclude_categories=[])) | st.text("ab <>/&;#\"'=\n!-x123")


@given(ANY_TEXT)
def test_a_text_without_a_known_tag_or_reference_stays_as_it_is(text: str) -> None:
    assume(not any(name.lower() in KNOWN for name in re.findall(r"</?([A-Za-z][A-Za-z0-9]*)", text)))
    assume(not re.search(r"&[#A-Za-z][A-Za-z0-9]*;", text))
    assert readable_text(text) == text


@given(ANY_TEXT)
def test_a_text_with_an_element_that_is_never_closed_stays_as_it_is(text: str) -> None:
    assume("<" not in text and "&" not in text)
    for name in ("b", "p", "div", "span", "i", "q", "code"):
        written = f"x {text} <{name}> y"
        assert readable_text(written) == written


WORDS = st.sampled_from(sorted(KNOWN - EMPTY)) | st.text("abcxyzæøå019", min_size=1)
SIGNS = st.sampled_from(
    ["<", ">", "&", " < ", " > ", " & ", " <", "> ", "<=", ">=", " = ", "=", "<<", "&&", " ", " ", ", ", "'", '"']
)


@given(WORDS, st.lists(st.tuples(SIGNS, WORDS)))
def test_a_sentence_with_signs_between_its_words_stays_as_it_is(first: str, others: list[tuple[str, str]]) -> None:
    text = first + "".join(sign + word for sign, word in others)
    assert readable_text(text) == text


ATTRIBUTES = st.sampled_from(
    ['class="a"', "class='a'", "class=a", 'title=""', "title=", 'style="font-family:"Calibri",sans-serif"', "href=?a=1",
     "checked", "border", "data-x", "@x='1'", "class=\"a\"style='b'"]
)  # fmt: skip


@given(st.sampled_from(sorted(KNOWN - EMPTY)), ATTRIBUTES, st.sampled_from(["", " ", "\n"]))
def test_no_tag_of_a_known_element_reaches_a_reader(name: str, attribute: str, space: str) -> None:
    html = f"<svg></svg><p>En</p><{name} {attribute}{space}>to</{name}>"
    assert readable_text(html).split() in (["En", "to"], ["En", "1.", "to"], ["En", "-", "to"])


@given(
    st.lists(st.lists(st.sampled_from(["", "a", "<p>a</p>", "<br>", "&nbsp;"]), min_size=1), min_size=1), st.booleans()
)
def test_each_cell_stays_in_its_column(rows: list[list[str]], is_whole: bool) -> None:
    html = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    seen = ["\t".join("a" if "a" in re.sub("<.*?>", "", cell) else "" for cell in row).rstrip() for row in rows]
    text = readable_text(f"<table>{html}</table>" if is_whole else html)
    assert re.sub("\n+", "\n", text) == re.sub("\n+", "\n", "\n".join(seen)).strip("\n")


@given(st.integers(-9999, 9999), st.lists(st.none() | st.integers(-9999, 9999), min_size=1))
def test_each_item_keeps_its_number(start: int, values: list[int | None]) -> None:
    items = "".join("<li>x</li>" if value is None else f"<li value='{value}'>x</li>" for value in values)
    numbers = list[int]()
    for value in values:
        following = numbers[-1] + 1 if numbers else start
        numbers.append(following if value is None else value)
    assert readable_text(f"<ol start={start}>{items}</ol>") == "\n".join(f"{number}. x" for number in numbers)


LINE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
PARAGRAPH = st.lists(LINE, min_size=1).map("\n".join)


@given(st.lists(PARAGRAPH, min_size=1))
def test_a_text_written_as_html_comes_back(paragraphs: list[str]) -> None:
    """A program escapes a person's text like this. Tags and references that the person typed are text on the page."""
    html = "".join(f"<p>{escape(paragraph).replace(chr(10), '<br>')}</p>" for paragraph in paragraphs)
    assert readable_text(html) == "\n\n".join(paragraphs)


@given(st.lists(st.sampled_from(sorted(KNOWN)) | st.text("ab<> &;", max_size=4)), st.data())
def test_whatever_the_markup_no_letter_is_lost(parts: list[str], data: st.DataObject) -> None:
    tags = {name: data.draw(st.sampled_from([f"<{name}>", f"</{name}>"])) for name in parts if name in KNOWN}
    html = "".join(tags.get(part, f"Å{part}") for part in parts)
    assert readable_text(html).count("Å") == html.count("Å")
