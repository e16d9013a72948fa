"""Comments of WISEflow as text that a person can read.

The OpenAPI file shows plain text, the vendor's help pages show HTML (contract 4.4): both are taken, and nothing on a comment says
which it is. So the rule for what counts as HTML is here, and it is narrow: a plain text stays exactly as it was written,
also one with `a < b`, `R&D`, `List<String>` or `if a<b and c>d`. HTML is a content with

- a known element that is opened and closed, `<b>fet</b>`, or one that is always empty, `<br>`;
- or a paragraph or line that is not closed, at the very beginning and with its text right behind it, `<p>Svaret`;
- or, without any `<`, only ampersands that begin a known character reference, `dr&oslash;fter`, `R&amp;D`.

selectolax reads the HTML. What is no markup of a known element stays as text, so nothing that was written is lost.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape, unescape
from html.entities import html5
from typing import Final

from resources.html_text import EMBEDDED, EMPTY, KNOWN, OPTIONAL_END, STRUCTURE, text_of

DEEPEST: Final = 200
"""Levels of elements. The parser's time grows with their square, so a deeper text is read without its structure."""

TAG: Final = re.compile(
    r"""<(?P<end>/?)(?P<name>[a-z][a-z0-9]*+)
    (?P<attributes>(?:\s++[a-z_:][\w:.-]*+\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)
        |\s++(?:allowfullscreen|contenteditable|controls|hidden|nowrap|open|reversed|data-[\w-]++)(?=[\s/>]))*+)
    \s*+(?P<closed>/?)>""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
"""A well-formed tag. An attribute has a value or is one of those that need none: so `<b and c>` is no tag."""
ADDRESS: Final = re.compile(r"""\shref\s*+=\s*+(?:"(https?:[^"]++)"|'(https?:[^']++)')""", re.IGNORECASE)
NOT_SHOWN: Final = re.compile(r"<!--|<(script|style|title)(?:\s[^<>]*+)?>", re.IGNORECASE)
"""Where something begins that a page does not show."""
ENDS: Final = {
    kind: re.compile(end, re.IGNORECASE)
    for kind, end in {"": "-->", **{name: rf"</{name}\s*+>" for name in ("script", "style", "title")}}.items()
}
CODE: Final = re.compile(r"</(?:script|style)\s*+>", re.IGNORECASE)
"""A content that is nothing but scripts and styles shows nothing."""
OFFICE_TAG: Final = re.compile(r"</?[a-z]\w*+:[a-z]\w*+(?:\s[^<>]*+)?>|<!doctype\s[^<>]*+>", re.IGNORECASE)
"""What word processors leave behind, `<o:p>`, and the line that names the kind of document."""
REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7};|#x[0-9a-f]{1,6};|([a-z][a-z0-9]*+;))", re.IGNORECASE)


@dataclass(frozen=True)
class _Piece:
    """A run of text (no `name`), or one tag of a known element."""

    source: str
    name: str = ""
    is_end: bool = False
    is_closed: bool = False
    attributes: str = ""


def readable_text(content: str) -> str:
    """`content` as it is if it is plain text; if it is HTML, what a reader of the page would see.

    Paragraphs stand between empty lines, line breaks and list items on lines of their own.
    """
    if "<" not in content:
        return unescape(content) if _is_escaped(content) else content
    shown = OFFICE_TAG.sub("", "".join(_shown(content)))
    pieces = _pieces(shown)
    if not _has_markup(pieces) and (shown.strip() or not CODE.search(content)):
        return content
    pieces = list(_with_addresses(pieces))
    if STRUCTURE.isdisjoint(piece.name for piece in pieces):
        return "".join(unescape(piece.source) for piece in pieces if not piece.name)
    if _depth(pieces) > DEEPEST:
        return _without_structure(pieces)
    return text_of("".join(map(_safe, pieces)))


def _is_escaped(content: str) -> bool:
    """Whether every ampersand begins a known reference, so that a program wrote them and no person."""
    names = [found[1] for found in REFERENCE.finditer(content)]
    return 0 < len(names) == content.count("&") and all(name is None or name in html5 for name in names)


def _shown(content: str) -> Iterator[str]:
    """`content` without comments, scripts and styles; one that never ends is text."""
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


def _pieces(content: str) -> list[_Piece]:
    """`content` cut into text and tags of known elements."""
    pieces, place = [], 0
    for tag in TAG.finditer(content):
        if (name := tag["name"].lower()) in KNOWN:
            pieces.append(_Piece(content[place : tag.start()]))
            pieces.append(_Piece(tag[0], name, bool(tag["end"]), bool(tag["closed"]), tag["attributes"]))
            place = tag.end()
    pieces.append(_Piece(content[place:]))
    return [piece for piece in pieces if piece.source]


def _has_markup(pieces: Sequence[_Piece]) -> bool:
    """The rule for what counts as HTML, as the module says it."""
    opened = set[str]()
    for piece in pieces:
        if piece.name in EMPTY or (piece.is_end and piece.name in opened):
            return True
        opened.add(piece.name)
    marked = [piece for piece in pieces if piece.name or piece.source.strip()]
    if len(marked) < 2 or marked[0].is_end:
        return False
    return marked[0].name in STRUCTURE and not marked[1].source[0].isspace()


def _depth(pieces: Sequence[_Piece]) -> int:
    """How many elements are open at once, at most."""
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


def _with_addresses(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """`pieces` without links: the address stands behind the link's text, unless it is the text."""
    address, text = "", ""
    for piece in pieces:
        if piece.name != "a":
            text += "" if piece.name else piece.source
            yield piece
            continue
        if address and address not in unescape(text):
            yield _Piece(escape(f" ({address})"))
        found = None if piece.is_end else ADDRESS.search(piece.attributes)
        address, text = unescape(found[1] or found[2]) if found else "", ""


def _safe(piece: _Piece) -> str:
    """What the parser gets: no attributes, because its time grows with their square, and no `<` in a text."""
    if not piece.name:
        return piece.source.replace("<", "&lt;")
    if piece.name in EMBEDDED or (piece.is_closed and piece.name not in EMPTY):
        return ""
    return f"</{piece.name}>" if piece.is_end else f"<{piece.name}>"


def _without_structure(pieces: Sequence[_Piece]) -> str:
    """The texts alone, a line for each element that begins or ends one."""
    texts = (("\n" if piece.name in STRUCTURE else "") if piece.name else unescape(piece.source) for piece in pieces)
    lines = (" ".join(line.split()) for line in "".join(texts).splitlines())
    return "\n".join(filter(None, lines))
