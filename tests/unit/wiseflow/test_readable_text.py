"""HTML becomes a text that a person can read. A plain text is not changed. `tests/property` has generated texts."""

import pytest

from casebridge.exams.visible_text import says_something
from resources.text.readable_text import LONGEST, readable_text

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
    "if (a<b && c>d)",
    "x<b and c=d> og y",
    "<b c=d",
    "fra <i=0> til <i=n>",
    "en <m:n> relasjon og <xs:element name='a'> i skjemaet",
    "<!-- et utkast --> og <![CDATA[data]]>",
    "<dir>/fil.txt mangler",
    "<text>Svaret</text>, <line>, <use>x</use>",
    "Bruk <option checked> og <table border>",
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
    "attributes without a space between": ('<p class="a"style="b">x</p>', "x"),
    "quotes in quotes": ('<p style="font-family:"Calibri",sans-serif">Hei</p>', "Hei"),
    "quotes in quotes, later": ('<p>Hei</p>\n<p style="font-family:"Calibri",sans-serif">du</p>', "Hei\n\ndu"),
    "an attribute without its value": ("<p title=>x</p>", "x"),
    "an attribute of a program": ('<p @click="x" :b="c">x</p>', "x"),
    "a quote that never ends": ('<p>Hei</p><p style="x>du</p><p class="b">der</p>', "Hei\n\ndu\n\nder"),
    "an address without quotes": ("<p>Hei</p><a href=https://x.no/?a=1>her</a>", "Hei\n\nher (https://x.no/?a=1)"),
    "an address behind an odd attribute": ('<p><a class="a"href="https://x.no">her</a></p>', "her (https://x.no)"),
    "an address of another attribute": ('<p><a data-href="https://x.no" title="href=https://y.no">her</a></p>', "her"),
    "flags": ("<table border><tr><td>a</td></tr></table>", "a"),
    "flags of a form": ('<p><input type="checkbox" checked> Punkt 1</p>', "Punkt 1"),
    "flags of a line": ("<p>a<hr noshade>b</p>", "a\n\nb"),
    "flags of a film": ('<p>En <video src="a" autoplay loop muted></video></p>', "En"),
    "a formula of each kind": (
        "<math><mrow><mtext>areal</mtext><mo>=</mo><munderover><mo>∑</mo><mn>1</mn><mi>n</mi></munderover></mrow></math>",
        "areal=∑1n",
    ),
    "more of a formula": (
        "<p>Se <math><msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup><mover><mi>y</mi><mo>¯</mo></mover></math></p>",
        "Se x12y¯",
    ),
    "a matrix": (
        "<p><math><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr></mtable></math></p>",
        "1 2",
    ),
    "a formula and its source": (
        '<p><math><mi>x</mi><annotation encoding="application/x-tex">x_1</annotation></math></p>',
        "x",
    ),
    "a drawing": ('<p>En</p><svg viewBox="0 0 1 1"><g><text x="1">to</text></g></svg>', "En\n\nto"),
    "a form": ("<p>En</p><select><option selected>to</option><option>tre</option></select>", "En\n\nto tre"),
    "a list of another kind": ("<menu><li>En</li></menu><dir><li>To</li></dir>", "- En\n\n- To"),
    "a list of a word processor": ("<p>x<![if !supportLists]>·<![endif]>y</p>", "x·y"),
    "a name space": ('<p>En</p><?xml:namespace prefix = "o" ns = "urn:x" /><p>To</p>', "En\n\nTo"),
    "a tag of a word processor alone": ("Svaret er godt<o:p></o:p>", "Svaret er godt"),
    "a clipboard": ("<!--StartFragment-->Svaret er godt<!--EndFragment-->", "Svaret er godt"),
    "a mark of a word processor": ("<!--[if !supportLists]-->Svaret er godt", "Svaret er godt"),
    "an empty cell": ("<table><tr><td>1</td><td></td><td>Bra</td></tr></table>", "1\t\tBra"),
    "an empty first cell": (
        "<table><tr><th></th><th>Poeng</th></tr><tr><td>Del 1</td><td>7</td></tr></table>",
        "\tPoeng\nDel 1\t7",
    ),
    "an empty first cell below": (
        "<table>\n<tr>\n <td>1</td>\n <td>7</td>\n</tr>\n<tr>\n <td></td>\n <td>8</td>\n</tr>\n</table>",
        "1\t7\n\t8",
    ),
    "a cell with a line end": ("<table><tr><td>1</td><td><br></td><td>Bra</td></tr></table>", "1\t\tBra"),
    "empty cells at the end": ("<table><tr><td>1</td><td></td></tr><tr><td>2</td></tr></table><p>x</p>", "1\n2\n\nx"),
    "paragraphs in cells": (
        "<table><tr><td><p>a</p></td><td><p>b</p><p>c</p></td></tr><tr><td><p>&nbsp;</p></td><td>d</td></tr></table>",
        "a\tb\nc\n\td",
    ),
    "lists in cells": (
        "<table><tr><td>1</td><td><ol><li>a</li><li>b</li></ol></td></tr><tr><td><ul><li>c</li></ul></td><td>d</tr></table>",
        "1\t1. a\n2. b\n- c\td",
    ),
    "cells and lines that close themselves": (
        "a<p/>b<div/>c<table><tr><td>1</td><td/><td>2</td></tr></table><tr><td/><td>3</td></tr>d<b/>e",
        "a\n\nb\nc\n\n1\t\t2\n\n\t3\n\nde",
    ),
    "a wide cell": ("<table><tr><td colspan=2>Sum</td><td>9</td></tr></table>", "Sum\t\t9"),
    "a high cell": (
        '<table><tr><td rowspan="2">Del</td><td>a</td></tr><tr><td>b</td></tr><tr><td>c</td></tr></table>',
        "Del\ta\n\tb\nc",
    ),
    "a table in a table": (
        "<table><tr><td>a<table><tr><td></td><td>c</td></tr></table></td></tr><tr><td></td><td>d</td></tr></table>",
        "a\n\tc\n\td",
    ),
    "a row in no table": ("<tr><td>Del 1</td><td>7</td></tr>", "Del 1\t7"),
    "rows in no table, in a text": (
        "<p>En</p><tr><td>1</td><td></td><td>7</td></tr><tr><td>2</td></tr>To <b>tre</b><table><tr><td>4</td></tr></table>",
        "En\n\n1\t\t7\n2\n\nTo tre\n\n4",
    ),
    "cells in no table": ("<td>a</td> <th>b</th>", "a\tb"),
    "a list that begins with 3": ('<ol start="3"><li>c</li><li>d</li></ol>', "3. c\n4. d"),
    "an item with a number": ('<ol><li>a</li><li value="4">b</li><li>c</li></ol>', "1. a\n4. b\n5. c"),
    "a list that goes on": ("<ol><li>a</li></ol><p>x</p><ol start=2><li>b</li></ol>", "1. a\n\nx\n\n2. b"),
    "a list backwards": ("<ol reversed>\n<li>a</li>\n<li>b</li>\n</ol>", "2. a\n1. b"),
    "a list with letters": ('<ol type="a" start=26><li>z</li><li>aa</li></ol>', "z. z\naa. aa"),
    "a list with Roman numbers": ('<ol type="I" start="4"><li>a</li><li value=0>b</li></ol>', "IV. a\n0. b"),
    "numbers that are none": (
        """<ol start="x" type='"><b>'><li value="9999999">a</li><li value="">b</li></ol>""",
        "1. a\n2. b",
    ),
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
             "<div>\u3164&#x2800;</div>", "<o:p>&nbsp;</o:p>", "<o:p/>", "<!--[if gte mso 9]><xml></xml><![endif]-->",
             "<!--[if !supportEmptyParas]-->&nbsp;<!--[endif]-->", "<![if !vml]><![endif]>",
             "<!--StartFragment--> <!--EndFragment-->", "<tr><td></td><td></td></tr>",
             "<p class='a'style='b'>&nbsp;</p>", "<table border><tr><td></td><td><br></td></tr></table>",
             "<p><input type='text' disabled></p>", "<math><mrow></mrow></math>"]
)  # fmt: skip
def test_html_without_visible_text_is_empty(html: str) -> None:
    assert not says_something(readable_text(html))


def test_a_content_over_the_bound_is_not_read() -> None:
    longest = "<p>" + "x" * (LONGEST - 7) + "</p>"
    assert readable_text(longest) == longest[3:-4]
    for longer in (longest + " ", "&oslash;" * (LONGEST // 8) + " "):
        assert readable_text(longer) == longer
