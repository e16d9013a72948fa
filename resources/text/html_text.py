"""Turns an HTML page into the text that a reader of the page sees, line by line.

This module only walks through the parsed page. `readable_text` decides what counts as HTML, and what the parser gets.
"""

import re
from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from resources.text.html_list import OpenList
from resources.text.html_table import OpenTable


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


PARAGRAPHS: Final = _names(
    "address article aside blockquote body dialog dir dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html "
    "main menu nav ol p pre search section table ul"
)
"""Elements with an empty line before and after them."""
LINES: Final = _names("caption center dd details div dt figcaption legend li summary tbody tfoot thead tr")
"""Elements that begin and end a line."""
CELLS: Final = _names("td th")
IN_TABLES: Final = _names("caption tbody td tfoot th thead tr")
"""Elements that the parser drops outside of a table."""
EMPTY: Final = _names("base br hr img link meta wbr")
"""Elements without content. They are never closed."""
LISTS: Final = _names("dir menu ol ul")
INLINE: Final = _names(
    "a abbr acronym b bdi bdo big blink cite code data del dfn em font head i ins kbd label marquee mark q rp rt ruby s samp "
    "small span strike strong sub sup time tt u var"
)
FORMULA: Final = _names(
    "maction maligngroup malignmark math menclose merror mfenced mfrac mglyph mi mlabeledtr mlongdiv mmultiscripts mn mo mover "
    "mpadded mphantom mprescripts mroot mrow ms mscarries mscarry msgroup msline mspace msqrt msrow mstack mstyle msub msubsup "
    "msup mtable mtd mtext mtr munder munderover semantics"
)
"""Elements of MathML."""
DRAWING: Final = _names(
    "animate animatemotion animatetransform circle clippath defs desc ellipse feblend fecolormatrix fecomponenttransfer "
    "fecomposite fedropshadow feflood fegaussianblur feimage femerge femergenode femorphology feoffset fetile feturbulence "
    "filter foreignobject g image line lineargradient marker mask metadata mpath path pattern polygon polyline radialgradient "
    "rect set stop switch symbol text textpath tspan use view"
)
"""Elements of SVG."""
EMBEDDED: Final = (
    _names(
        "applet area audio basefont bgsound button canvas col colgroup datalist embed frame frameset iframe input keygen listing "
        "map meter nobr noembed noframes noscript object oembed optgroup option output param picture plaintext progress rb rtc "
        "select slot source svg template textarea track video xmp"
    )
    | FORMULA
    | DRAWING
)
"""Elements that show something other than text, or only arrange text. Their tags are left out, and the text between is kept."""
SPACED: Final = _names("mtd mtr optgroup option textarea")
"""Embedded elements that a space separates from the text before them."""
OPTIONAL_END: Final = _names("dd dt li p tbody td tfoot th thead tr")
"""Elements that the next one of their kind closes. Many of them do not make a page deep."""
PLACEHOLDERS: Final = _names("dialog dir hgroup menu search")
"""Names that people also use in plain text, such as `<dir>/a.txt`. Such a tag shows HTML only if it is closed."""
STRUCTURE: Final = PARAGRAPHS | LINES | CELLS | {"br"}
ANYWHERE: Final = STRUCTURE | EMPTY | INLINE | EMBEDDED - DRAWING
KNOWN: Final = ANYWHERE | DRAWING
"""The names of drawing elements are common words (`text`, `line`, `use`), so they count only after an `<svg>`."""

SPACES: Final = re.compile(r"[ \t\r\n\f]+")
LINE_END: Final = re.compile(r"\r\n|[\r\n]")
EMPTY_LINES: Final = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The text of `html`, without white space that the page would not show. The time is proportional to the length."""
    reader = _Reader()
    root = LexborHTMLParser(html.encode("utf-8", "ignore")).root
    for node, is_end in _walk(root):
        reader.read(node, is_end=is_end)
    return reader.text()


def _walk(root: LexborNode | None) -> Iterator[tuple[LexborNode, bool]]:
    """Each node twice, at its begin and at its end, in the order of the page. The second value says whether it is the end.

    There is no recursion, so a page may be deep.
    """
    node = root
    while node is not None:
        yield node, False
        if node.child is not None:
            node = node.child
            continue
        yield node, True
        while node is not None and node.next is None:
            node = node.parent
            if node is not None:
                yield node, True
        node = node.next if node is not None else None


class _Reader:
    """Collects the visible text. Line ends, tabs and spaces are written only before a further text, so no line ends with them."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._breaks = 0
        self._tabs = 0
        self._space = ""
        self._lists: list[OpenList] = []
        self._items = 0
        self._marker = ""
        self._tables: list[OpenTable] = []
        self._cells: list[tuple[int, int]] = []
        """For each open cell: how many pieces were written before it, and how many line ends were not written yet."""
        self._preformatted = 0

    def text(self) -> str:
        lines = (line.rstrip() for line in "".join(self._written).replace("\xa0", " ").split("\n"))
        return EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip("\n")

    def read(self, node: LexborNode, *, is_end: bool) -> None:
        """Read the begin of a node, or its end."""
        tag = node.tag or ""
        if tag == "-text":
            if not is_end:
                self._read_text(node.text_content or "")
        elif tag == "br":
            self._break(self._breaks + (not is_end))
        elif tag in CELLS:
            self._read_cell(node, is_end=is_end)
        elif tag in PARAGRAPHS or tag in LINES:
            self._break(2 if tag in PARAGRAPHS and not self._items and not self._cells else 1)
            self._read_block(node, tag, is_end=is_end)

    def _read_block(self, node: LexborNode, tag: str, *, is_end: bool) -> None:
        change = -1 if is_end else 1
        if tag == "pre":
            self._preformatted += change
        elif tag == "li":
            self._items += change
            self._marker = "" if is_end else self._next_marker(node)
        elif tag in LISTS and is_end:
            self._lists.pop()
        elif tag in LISTS:
            self._lists.append(OpenList(node))
        elif tag == "table" and is_end:
            self._tables.pop()
        elif tag == "table":
            self._tables.append(OpenTable())
        elif tag == "tr":
            self._tabs = 0
            if not is_end:
                self._tables[-1].next_row()

    def _read_cell(self, node: LexborNode, *, is_end: bool) -> None:
        """Put a tab before each cell except the first, also before empty cells. So each cell stays in its column."""
        self._space = ""
        if not is_end:
            self._tabs += self._tables[-1].next_cell(node)
            self._cells.append((len(self._written), self._breaks))
            return
        written, breaks = self._cells.pop()
        self._breaks = breaks if written == len(self._written) else 0

    def _next_marker(self, node: LexborNode) -> str:
        indent = "  " * (len(self._lists) - 1)
        return indent + (self._lists[-1].next_marker(node) if self._lists else "- ")

    def _read_text(self, text: str) -> None:
        if self._preformatted:
            for place, line in enumerate(LINE_END.split(text)):
                self._break(self._breaks + bool(place))
                self._write(line)
            return
        if self._cells and text.isspace():  # also non-breaking spaces: word processors put one into an empty cell
            self._space = self._space or " "
            return
        words = SPACES.sub(" ", text)
        if words.startswith(" "):
            self._space = self._space or " "
        self._write(words.strip(" "))
        if words.endswith(" ") and words != " ":
            self._space = " "

    def _break(self, count: int) -> None:
        if not self._cells or len(self._written) > self._cells[-1][0]:
            self._breaks = max(self._breaks, count)

    def _write(self, text: str) -> None:
        if not text:
            return
        is_inside = self._written and not self._breaks and not self._tabs and not self._marker
        if is_inside:
            self._written.append(self._space)
        elif self._written:
            self._written.append("\n" * self._breaks)
        self._written.append("\t" * self._tabs + self._marker + text)
        self._breaks, self._tabs, self._space, self._marker = 0, 0, "", ""
