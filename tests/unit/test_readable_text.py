"""HTML becomes text that a person can read; a plain text stays exactly as it was written."""

import re
import time
from html import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from casebridge.exams.visible_text import says_something
from resources.html_text import KNOWN
from resources.readable_text import readable_text

PLAIN = (
    "",
    "a < b",
    "R&D",
    "AT&T & Co",
    "x <y> z",
    "if a<b and c>d",
    "p<0.05 og q>0.95",
    "<3",
    "&nbsp",
    "&nbsp uten semikolon, R&D med",
    "R&D &amp; mer",
    "a < b &amp; c",
    "&finnesikke; og &#99999999;",
    "List<String> og vector<i>",
    "Du lukker aldri <div>, og <p> mangler i oppgave 2.",
    "<p> = 0 for en symmetrisk tilstand",
    "<ola.nordmann@uis.no>",
    "<https://uis.no>",
    "<!-- et utkast -->",
    "</p> hører til et <p>",
    "  innrykk\n\n\n\tog  mellomrom \r\n",
    "Svaret er godt 👍🏽,\u00a0men \u202eabc\u202c",
    '<b a="1>',
    "<b\u00a0>x</b >",
    "<strong>",
    "Bruk <input> og <video>, ikke <iframe>",
    "<script> mangler",
)

HTML = {
    "a paragraph": ("<p>God &amp; ryddig besvarelse</p>", "God & ryddig besvarelse"),
    "paragraphs": ("<p>En</p><p>To</p>\n<p>Tre</p>", "En\n\nTo\n\nTre"),
    "the sample of the vendor": ("<p>Common feedback</p>", "Common feedback"),
    "references of each kind": ("<p>dr&oslash;fter &#230;&#xe5; &lt;p&gt; &hellip;</p>", "drøfter æå <p> …"),
    "line breaks": ("En<br>To<br/>Tre<br />", "En\nTo\nTre"),
    "two line breaks": ("En<br><br>To", "En\n\nTo"),
    "empty paragraphs between": ("<p>En</p><p><br></p><p>&nbsp;</p><p>To</p>", "En\n\nTo"),
    "lines of an editor": ("<div>En</div><div>To</div><div><br></div><div>Tre</div>", "En\nTo\n\nTre"),
    "a list": ("<p>Pluss:</p><ul><li>klar</li><li>kort</li></ul>", "Pluss:\n\n- klar\n- kort"),
    "a numbered list": ("<ol><li><p>En</p></li><li><p>To</p></li></ol>", "1. En\n2. To"),
    "a list in a list": ("<ul><li>En<ul><li>a</li></ul></li><li>To</li></ul>", "- En\n  - a\n- To"),
    "headings": ("<h2>Karakter</h2><p>C</p>", "Karakter\n\nC"),
    "a table": ("<table><tr><th>Del</th><th>Poeng</th></tr><tr><td>1</td><td>7</td></tr></table>", "Del\tPoeng\n1\t7"),
    "inline elements": ("<p>En <b>god</b>, <em>kort</em> x<sup>2</sup></p>", "En god, kort x2"),
    "inline elements alone": ("En <b>god</b> tekst\n\nmed linjer", "En god tekst\n\nmed linjer"),
    "references alone": ("Besvarelsen dr&oslash;fter R&amp;D\n\nGodt", "Besvarelsen drøfter R&D\n\nGodt"),
    "spaces that stay": ("<p>Karakter:&nbsp;C</p>", "Karakter: C"),
    "spaces that a page does not show": ("<p>\n  En   god\n  tekst </p>", "En god tekst"),
    "as it was typed": ("<pre>for x:\n    y\n</pre>", "for x:\n    y"),
    "attributes and capitals": ("<P CLASS=\"x > y\" data-id>En</P><DIV style='color:red'>To</DIV>", "En\n\nTo"),
    "not closed": ("<p>En<p>To", "En\n\nTo"),
    "closed in the wrong order": ("<p><b>En<i> og</b> to</i></p>", "En og to"),
    "a link": ('<p>Se <a href="https://uis.no/?a=1&amp;b=2">her</a>.</p>', "Se her (https://uis.no/?a=1&b=2)."),
    "a link that is its text": ('<p><a href="https://uis.no">https://uis.no</a></p>', "https://uis.no"),
    "a link of another kind": ('<p><a href="javascript:x()">her</a></p>', "her"),
    "what is no markup": ("<p>if a<b and c>d, x <y> z, a < b, R&D, <3</p>", "if a<b and c>d, x <y> z, a < b, R&D, <3"),
    "what a page does not show": ("<style>p{}</style><p>En</p><!-- to --><script>3<4</script>", "En"),
    "a script that never ends": ("<p>En</p><script>to", "En\n\n<script>to"),
    "a comment that never ends": ("<p>En</p><!-- to", "En\n\n<!-- to"),
    "a whole page": ("<!DOCTYPE html><html><head><title>t</title></head><body><p>En</p></body></html>", "En"),
    "a word processor": ('<p class="MsoNormal">En<o:p></o:p></p>', "En"),
    "a film and its words": ('<p>Se</p><video controls><source src="x.mp4"></video><p>her</p>', "Se\n\nher"),
    "columns of a table": ("<table><colgroup><col/><col></colgroup><tr><td>a</td><td>b</td></tr></table>", "a\tb"),
    "a formula": ("<p>Her er <math><mi>x</mi><mo>=</mo><mn>2</mn></math> feil</p>", "Her er x=2 feil"),
    "a lone surrogate": ("<p>En\ud800</p>", "En"),
}


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assert readable_text(text) == text


@pytest.mark.parametrize(("html", "text"), HTML.values(), ids=HTML)
def test_html_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert readable_text(html) == text


@pytest.mark.parametrize(
    "html", ["<p><br></p>", "<p>&nbsp;</p>", "<p>&shy;&#8203;</p>", "&nbsp;", "&#8203;&zwnj;", "<p></p>", "<br>", "<hr>",
             "<ul><li></li></ul>", "<p><img src='x.png'></p>", "<p> <!-- x --> </p>",
             "<p><iframe src='https://x.no'></iframe></p>", "<audio controls src='x.mp3'></audio>", "<style>p{}</style>",
             "<script>1 < 2</script>\n", "<p><svg><path d='M0 0'/></svg></p>",
             "<picture><source srcset='x'><img></picture>",
             "<div>\u3164&#x2800;</div>"]
)  # fmt: skip
def test_html_without_anything_to_see_says_nothing(html: str) -> None:
    assert not says_something(readable_text(html))


ANY_TEXT = st.text(st.characters(exclude_categories=[])) | st.text("ab <>/&;#\"'=\n!-x123")


@given(ANY_TEXT)
def test_a_text_without_a_known_tag_or_reference_stays_as_it_is(text: str) -> None:
    assume(not any(name.lower() in KNOWN for name in re.findall(r"</?([A-Za-z][A-Za-z0-9]*)", text)))
    assume(not re.search(r"&[#A-Za-z][A-Za-z0-9]*;", text))
    assert readable_text(text) == text


@given(ANY_TEXT)
def test_an_element_that_is_never_closed_leaves_a_text_as_it_is(text: str) -> None:
    assume("<" not in text and "&" not in text)
    for name in ("b", "p", "div", "span", "i", "q", "code"):
        written = f"x {text} <{name}> y"
        assert readable_text(written) == written


LINE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
PARAGRAPH = st.lists(LINE, min_size=1).map("\n".join)


@given(st.lists(PARAGRAPH, min_size=1))
def test_a_text_written_as_html_comes_back(paragraphs: list[str]) -> None:
    """Escaped as any program does it: whatever a person typed, tags and references included, is a text in a page."""
    html = "".join(f"<p>{escape(paragraph).replace(chr(10), '<br>')}</p>" for paragraph in paragraphs)
    assert readable_text(html) == "\n\n".join(paragraphs)


@given(st.lists(st.sampled_from(sorted(KNOWN)) | st.text("ab<> &;", max_size=4)), st.data())
def test_whatever_the_markup_no_letter_is_lost(parts: list[str], data: st.DataObject) -> None:
    tags = {name: data.draw(st.sampled_from([f"<{name}>", f"</{name}>"])) for name in parts if name in KNOWN}
    html = "".join(tags.get(part, f"Å{part}") for part in parts)
    assert readable_text(html).count("Å") == html.count("Å")


HOSTILE = {
    "elements in elements": "<div>" * 50_000 + "x",
    "elements in elements, falsely closed": "<div></i>" * 50_000 + "x",
    "formats": "<b>" * 50_000 + "x",
    "lists in lists": "<ul><li>" * 30_000 + "x",
    "tables in tables": "<table><tr><td>" * 20_000 + "x",
    "links": "<a href='https://x'><div>" * 20_000 + "x",
    "notes of characters": "<rt>" * 50_000 + "x",
    "attributes": "<p " + " ".join(f"a{place}=1" for place in range(100_000)) + ">x",
    "comments that never end": "<!-- " * 100_000,
    "scripts that never end": "<script>" * 50_000,
    "tags that never end": "<p a=\"<p a='" * 50_000,
    "white space": "<p" + " " * 500_000,
    "references": "&amp;" * 200_000,
    "signs": "<&" * 200_000,
    "names of a word processor": "<a:b " * 100_000,
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE)
def test_the_time_grows_no_faster_than_the_text(html: str) -> None:
    """A quarter of the text in at least an eighth of the time; were it the square, it would be a sixteenth."""

    def seconds(text: str) -> float:
        began = time.process_time()
        readable_text("<p>x</p>" + text)
        return time.process_time() - began

    quarter = min(seconds(html[: len(html) // 4]) for _ in range(3))
    assert any(seconds(html) < 8 * quarter + 0.1 for _ in range(3)), "the quickest of three is too slow"
