"""Turns comments of WISEflow into text that a person can read.

The OpenAPI file shows plain text, and the vendor's help pages show HTML (contract 4.4). Both are read, and a comment does not say
which it is. So this module has a narrow rule for what counts as HTML. A plain text stays exactly as it was written, also one with
`a < b`, `R&D`, `List<String>` or `if a<b and c>d`. A comment counts as HTML if it has one of these:

- a known element that is opened and closed, `<b>fet</b>`, or one that is always empty, `<br>`;
- a paragraph or line that is not closed, at the very beginning and directly followed by its text, `<p>Svaret`;
- a tag or comment that only word processors write: `<o:p>&nbsp;</o:p>`, `<!--[if gte mso 9]>`;
- no `<`, and only ampersands that begin a known character reference, `dr&oslash;fter`, `R&amp;D`.

selectolax reads the HTML. Everything that is not markup of a known element stays as text, so nothing that was written is lost.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape
from html.entities import html5
from io import StringIO
from typing import Final, NamedTuple

from resources.text.html_number import number_of
from resources.text.html_text import (
    ANYWHERE,
    CELLS,
    EMBEDDED,
    EMPTY,
    IN_TABLES,
    KNOWN,
    OPTIONAL_END,
    PLACEHOLDERS,
    SPACED,
    SPACES,
    STRUCTURE,
    text_of,
)

LONGEST: Final = 2 * 1024 * 1024
"""In characters. A longer comment is not read and stays as it is, and `resources.fs.text` refuses it as too long.

It is also the default limit of a text for FS. With it, reading takes at most three seconds and 50 MB.
"""
MOST_TAGS: Final = 20_000
"""The most characters `<` with which the structure is read.

The parser takes a few hundred bytes and ten microseconds for each tag. A long comment that was pasted from a word processor has
a few thousand.
"""
DEEPEST: Final = 200
"""The most levels of elements with which the structure is read. The parser's time grows with the square of the levels."""

FLAGS: Final = (
    "allowfullscreen|async|autofocus|autoplay|border|checked|compact|contenteditable|controls|declare|default|defer|disabled|"
    "download|formnovalidate|hidden|inert|ismap|itemscope|loop|multiple|muted|nohref|nomodule|noresize|noshade|novalidate|nowrap|"
    "open|playsinline|readonly|required|reversed|selected|sortable|spellcheck|truespeed|typemustmatch|data-[\\w-]++"
)
"""Attributes that need no value."""
TAG: Final = re.compile(
    rf"""<(?P<end>/?)(?P<name>[a-z][a-z0-9]*+)
    (?:(?P<attributes>(?:\s++[a-z_:][\w:.-]*+\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)|\s++(?:{FLAGS})(?=[\s/>]))*+)
        \s*+(?P<closed>/?)
      |(?P<odd>(?:\s++(?:{FLAGS})(?=\s))*+\s++[a-z_:@][\w:.@-]*+=[^<>]*+))>""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
"""A tag. An attribute has a value, or is one of `FLAGS`, so `<b and c>` is not a tag.

Values may be malformed (group `odd`) if the first attribute is clearly one: `style="font-family:"Calibri"`, `title=`,
`href=?a=1`.
"""
ATTRIBUTE: Final = re.compile(
    r"""([a-z_:@][\w:.@-]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'<>]++)))?""", re.IGNORECASE | re.ASCII
)
ADDRESS: Final = re.compile(r"https?:.", re.IGNORECASE)
KEPT: Final = {
    "ol": {"start", "type", "reversed"},
    "li": {"value"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
"""The attributes that decide an item's number or a cell's column, for each element."""
NUMBERINGS: Final = frozenset("1aAiI")
NOT_SHOWN: Final = re.compile(r"<!--|<(script|style|title|annotation|annotation-xml)(?:\s[^<>]*+)?>", re.IGNORECASE)
"""The begin of something that a page does not show."""
ENDS: Final = {
    kind: re.compile(end, re.IGNORECASE)
    for kind, end in {
        "": "-->",
        **{name: rf"</{name}\s*+>" for name in ("script", "style", "title", "annotation", "annotation-xml")},
    }.items()
}
CODE: Final = re.compile(r"</(?:script|style)\s*+>", re.IGNORECASE)
"""The end of a script or style. A comment of nothing else is HTML without visible text."""
OFFICE_TAG: Final = re.compile(
    r"</?[a-z]\w*+:[a-z]\w*+(?:\s[^<>]*+|/)?>|<!doctype\s[^<>]*+>|<!\[(?:if|else|endif)\b[^<>]*+>|<\?xml[:\s][^<>]*+>",
    re.IGNORECASE,
)
"""Tags of word processors, such as `<o:p>` and `<![if !supportLists]>`, and the line with the document type."""
OFFICE: Final = re.compile(
    r"</(?:o|w|v|m|st1):[a-z]\w*+\s*+>|<(?:o|w|v|m|st1):[a-z][^<>]*+(?<=/)>"
    r"|<!(?:--)?\[(?:if\s[^<>\]]*+|endif)\]|<!--(?:Start|End)Fragment-->|<\?xml:namespace\s",
    re.IGNORECASE,
)
"""Markup that only word processors write."""
REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7};|#x[0-9a-f]{1,6};|([a-z][a-z0-9]*+;))", re.IGNORECASE)


class _Piece(NamedTuple):
    """A run of text (no `name`), or one tag of a known element."""

    source: str
    name: str = ""
    is_end: bool = False
    is_closed: bool = False
    attributes: str = ""


def readable_text(content: str) -> str:
    """`content` unchanged if it is plain text or longer than `LONGEST`. If it is HTML, the text that a reader of the page sees.

    Empty lines separate paragraphs. Line breaks and list items begin a line. Tabs separate the cells of a row.
    """
    if len(content) > LONGEST:
        return content
    if "<" not in content:
        return unescape(content) if _is_escaped(content) else content
    shown = OFFICE_TAG.sub("", "".join(_shown(content)))
    if not _is_html(content, shown):
        return content
    return _page_text(shown)


def _page_text(shown: str) -> str:
    """The visible text of `shown`, a page without comments, scripts and styles."""
    if shown.count("<") > MOST_TAGS:
        return _without_structure(_with_addresses(_pieces(shown)))
    pieces = list(_with_addresses(_pieces(shown)))
    if STRUCTURE.isdisjoint(piece.name for piece in pieces):
        return "".join(unescape(piece.source) for piece in pieces if not piece.name)
    if _depth(pieces) > DEEPEST:
        return _without_structure(pieces)
    return text_of("".join(map(_safe, _in_tables(pieces))))


def _is_html(content: str, shown: str) -> bool:
    if OFFICE.search(content) or _has_markup(_pieces(shown)):
        return True
    return not shown.strip() and CODE.search(content) is not None


def _is_escaped(content: str) -> bool:
    """Whether every ampersand begins a known reference. Then a program wrote them, not a person."""
    count = 0
    for found in REFERENCE.finditer(content):
        if found[1] is not None and found[1] not in html5:
            return False
        count += 1
    return 0 < count == content.count("&")


def _shown(content: str) -> Iterator[str]:
    """`content` without comments, scripts and styles. One that has no end is kept as text."""
    place, endless = 0, set[str]()
    for found in NOT_SHOWN.finditer(content):
        kind = (found[1] or "").lower()
        if found.start() < place or kind in endless:
            continue
        if (end := ENDS[kind].search(content, found.end())) is None:
            endless.add(kind)
            continue
        yield content[place : found.start()]
        place = end.end()
    yield content[place:]


def _pieces(content: str) -> Iterator[_Piece]:
    """`content` cut into text and tags of known elements."""
    known, place = ANYWHERE, 0
    for tag in TAG.finditer(content):
        if (name := tag["name"].lower()) not in known:
            continue
        if place < tag.start():
            yield _Piece(content[place : tag.start()])
        if name == "svg":
            known = KNOWN
        yield _Piece(tag[0], name, bool(tag["end"]), bool(tag["closed"]), tag["attributes"] or tag["odd"] or "")
        place = tag.end()
    if place < len(content):
        yield _Piece(content[place:])


def _has_markup(pieces: Iterable[_Piece]) -> bool:
    """Apply the rule for what counts as HTML, which the module's docstring explains."""
    opened = set[str]()
    marked = list[_Piece]()
    for piece in pieces:
        if piece.name in EMPTY or (piece.is_end and piece.name in opened):
            return True
        if piece.name:
            opened.add(piece.name)
        if len(marked) < 2 and (piece.name or not piece.source.isspace()):
            marked.append(piece)
    if len(marked) < 2 or marked[0].is_end:
        return False
    return marked[0].name in STRUCTURE - PLACEHOLDERS and not marked[1].source[0].isspace()


def _depth(pieces: Sequence[_Piece]) -> int:
    """The largest number of elements that are open at the same time."""
    opened, deep, deepest = Counter[str](), 0, 0
    for piece in pieces:
        if not piece.name or piece.is_closed or piece.name in EMPTY or piece.name in OPTIONAL_END:
            continue
        if not piece.is_end:
            opened[piece.name] += 1
            deep += 1
        elif opened[piece.name]:
            opened[piece.name] -= 1
            deep -= 1
        deepest = max(deepest, deep)
    return deepest


def _with_addresses(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """`pieces` without links. The address follows the link's text, unless the text contains it."""
    address, text = "", list[str]()
    for piece in pieces:
        if piece.name in SPACED:
            yield _Piece(" ")
        if piece.name != "a":
            if address and not piece.name:
                text.append(piece.source)
            yield piece
            continue
        if address and address not in unescape("".join(text)):
            yield _Piece(escape(f" ({address})"))
        found = "" if piece.is_end else _attributes(piece).get("href", "").strip()
        address, text = unescape(found) if ADDRESS.match(found) else "", []


def _in_tables(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """`pieces` with a table around rows and cells outside of a table. The parser would drop them and join their texts."""
    tables, is_added, is_in_cell = 0, False, False
    for piece in pieces:
        if is_added and not is_in_cell and piece.name not in IN_TABLES and (piece.name or not piece.source.isspace()):
            yield _Piece("</table>", "table", is_end=True)
            is_added = False
        if piece.name == "table" and not piece.is_closed:
            tables = max(tables + (-1 if piece.is_end else 1), 0)
        elif piece.name in IN_TABLES and not tables:
            if not is_added and not piece.is_end:
                yield _Piece("<table>", "table")
                is_added = True
            is_in_cell = not piece.is_end and not piece.is_closed and (piece.name in CELLS or piece.name == "caption")
        yield piece


def _attributes(piece: _Piece) -> dict[str, str]:
    """The attributes of a tag. If a name comes more than once, the first one counts, as in a browser."""
    found = dict[str, str]()
    for name, *values in ATTRIBUTE.findall(piece.attributes):
        found.setdefault(name.lower(), "".join(values))
    return found


def _safe(piece: _Piece) -> str:
    """The form in which the parser gets a piece.

    Few attributes are kept, because the parser's time grows with the square of their number. A text has no `<`.
    """
    if not piece.name:
        return piece.source.replace("<", "&lt;")
    if piece.name in EMBEDDED:
        return ""
    if piece.is_end:
        return f"</{piece.name}>"
    end = f"</{piece.name}>" if piece.is_closed and piece.name not in EMPTY else ""
    return f"<{piece.name}{_kept(piece)}>{end}"


def _kept(piece: _Piece) -> str:
    if piece.name not in KEPT or not piece.attributes:
        return ""
    kept = ((name, _kept_value(name, value)) for name, value in _attributes(piece).items() if name in KEPT[piece.name])
    return "".join(f' {name}="{value}"' for name, value in kept if value is not None)


def _kept_value(name: str, value: str) -> str | int | None:
    if name == "type":
        return value if value in NUMBERINGS else None
    return "" if name == "reversed" else number_of(value)


def _without_structure(pieces: Iterable[_Piece]) -> str:
    """The texts only. Elements that begin or end a line make a new line, and cells of a row are separated by tabs."""
    texts = StringIO()
    for piece in pieces:
        if piece.name in CELLS:
            texts.write("" if piece.is_end else "\t")
        elif piece.name in STRUCTURE:
            texts.write("\n")
        elif not piece.name:
            texts.write(SPACES.sub(" ", unescape(piece.source)))
    rows = (line.removeprefix("\t").split("\t") for line in texts.getvalue().splitlines())
    lines = ("\t".join(cell.strip(" ") for cell in row).rstrip() for row in rows)
    return "\n".join(filter(None, lines))
