"""A table of an HTML page while it is read: how many columns a cell is behind the one before it."""

from typing import Final

from selectolax.lexbor import LexborNode

from resources.text.html_number import number_of

WIDEST: Final = 20
"""Columns that one cell fills at most."""
MOST_COLUMNS: Final = 100
"""Columns in which a cell can reach into the rows below it: so the time for a row has a bound."""
MOST_ROWS: Final = 1000
"""Rows that one cell fills at most."""


class OpenTable:
    """Counts columns as the page does: a cell may fill several (`colspan`), and reach into the rows below (`rowspan`)."""

    def __init__(self) -> None:
        self._reaches: dict[int, int] = {}
        """How many rows below this one a cell fills, for each column."""
        self._filled = frozenset[int]()
        """The columns of this row that cells from above fill."""
        self._last = 0
        self._next = 0

    def next_row(self) -> None:
        """A row begins."""
        self._filled = frozenset(self._reaches)
        self._reaches = {column: rows - 1 for column, rows in self._reaches.items() if rows > 1}
        self._last = self._next = 0

    def next_cell(self, node: LexborNode) -> int:
        """How many columns the cell is behind the one before it in the row, or behind the first column."""
        while self._next in self._filled:
            self._next += 1
        behind = self._next - self._last
        self._last = self._next
        width = _span(node, "colspan", WIDEST)
        height = _span(node, "rowspan", MOST_ROWS)
        self._next += width
        if height > 1:
            self._reaches.update(dict.fromkeys(range(self._last, min(self._next, MOST_COLUMNS)), height - 1))
        return behind


def _span(node: LexborNode, attribute: str, most: int) -> int:
    return min(max(number_of(node.attributes.get(attribute)) or 1, 1), most)
