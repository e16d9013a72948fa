"""The text that a reader of an HTML page sees, line by line.

Only the walk through a parsed page belongs here. What counts as HTML, and what is kept from the parser, is in `readable_text`.
"""

import re
from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


PARAGRAPHS: Final = _names(
    "address article aside blockquote body dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr html main nav ol p pre "
    "section table ul"
)
"""Elements with an empty line before and after them."""
LINES: Final = _names("caption center dd details div dt figcaption legend li summary tbody tfoot thead tr")
"""Elements that begin and end a line."""
CELLS: Final = _names("td th")
EMPTY: Final = _names("base br hr img link meta wbr")
"""Elements without content, which are never closed."""
INLINE: Final = _names(
    "a abbr acronym b bdi bdo big cite code data del dfn em font head i ins kbd label mark q rp rt ruby s samp small span "
    "strike strong sub sup time tt u var"
)
EMBEDDED: Final = _names(
    "area audio button col colgroup embed iframe input map math mfrac mi mn mo mrow msqrt msub msup nobr object param path "
    "picture source svg track video"
)
"""What shows something other than text, or only arranges it: the tags are left out, a text between them stays."""
OPTIONAL_END: Final = _names("dd dt li p tbody td tfoot th thead tr")
"""Elements that the next of their kind closes: many of them are not deep."""
STRUCTURE: Final = PARAGRAPHS | LINES | CELLS | {"br"}
KNOWN: Final = STRUCTURE | EMPTY | INLINE | EMBEDDED

SPACES: Final = re.compile(r"[ \t\r\n\f]+")
LINE_END: Final = re.compile(r"\r\n|[\r\n]")
EMPTY_LINES: Final = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The text of `html`, without white space that the page would not show. Takes time in proportion to the length."""
    reader = _Reader()
    root = LexborHTMLParser(html.encode("utf-8", "ignore")).root
    for node, is_end in _walk(root):
        reader.read(node, is_end=is_end)
    return reader.text()


def _walk(root: LexborNode | None) -> Iterator[tuple[LexborNode, bool]]:
    """Each node as it begins and as it ends, in the order of the page; without recursion, however deep it is."""
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
    """Writes down what is seen. Line ends and spaces wait until something follows them: none stands at an end."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._breaks = 0
        self._space = ""
        self._lists: list[int | None] = []
        """The open lists: how many items have begun, or None where they are not numbered."""
        self._items = 0
        self._marker = ""
        self._preformatted = 0

    def text(self) -> str:
        lines = (line.rstrip() for line in "".join(self._written).replace("\xa0", " ").split("\n"))
        return EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip("\n")

    def read(self, node: LexborNode, *, is_end: bool) -> None:
        """Take in that a node begins, or ends."""
        tag = node.tag or ""
        if tag == "-text" and not is_end:
            self._read_text(node.text_content or "")
        elif tag == "br":
            self._break(self._breaks + (not is_end))
        elif tag in CELLS:
            self._space = "\t" if node.prev is not None else ""
        elif tag in PARAGRAPHS or tag in LINES:
            self._break(2 if tag in PARAGRAPHS and not self._items else 1)
            self._read_block(tag, is_end=is_end)

    def _read_block(self, tag: str, *, is_end: bool) -> None:
        change = -1 if is_end else 1
        if tag == "pre":
            self._preformatted += change
        elif tag == "li":
            self._items += change
            self._marker = "" if is_end else self._next_marker()
        elif tag in {"ul", "ol"} and is_end:
            self._lists.pop()
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)

    def _next_marker(self) -> str:
        indent = "  " * (len(self._lists) - 1)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number + 1}. "

    def _read_text(self, text: str) -> None:
        if self._preformatted:
            for place, line in enumerate(LINE_END.split(text)):
                self._break(self._breaks + bool(place))
                self._write(line)
            return
        words = SPACES.sub(" ", text)
        if words.startswith(" "):
            self._space = self._space or " "
        self._write(words.strip(" "))
        if words.endswith(" ") and words != " ":
            self._space = " "

    def _break(self, count: int) -> None:
        self._breaks = max(self._breaks, count)

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._breaks or not self._written:
            ends = "\n" * self._breaks if self._written else ""
            self._written.append(ends + self._marker)
            self._marker = ""
        else:
            self._written.append(self._space)
        self._written.append(text)
        self._breaks, self._space = 0, ""
