"""The columns of the cells of an HTML table."""

from typing import Final

from selectolax.lexbor import LexborNode

from resources.text.html_number import number_of

WIDEST: Final = 20
"""Most columns that one cell can fill."""
MOST_COLUMNS: Final = 100
"""Cells reach into the rows below only in this many columns, so that the time for a row is bounded."""
MOST_ROWS: Final = 1000
"""Most rows that one cell can fill."""


class OpenTable:
    """A table that is being read. It counts columns as a browser does.

    A cell may fill several columns (`colspan`), and reach into the rows below (`rowspan`).
    """

    def __init__(self) -> None:
        self._reaches: dict[int, int] = {}
        """For each column, the number of rows below this one that a cell fills."""
        self._filled = frozenset[int]()
        """The columns of this row that cells from above fill."""
        self._last = 0
        self._next = 0

    def next_row(self) -> None:
        """Begin a row."""
        self._filled = frozenset(self._reaches)
        self._reaches = {column: rows - 1 for column, rows in self._reaches.items() if rows > 1}
        self._last = self._next = 0

    def next_cell(self, node: LexborNode) -> int:
        """Begin a cell. Return its distance in columns from the cell before it in the row, or from the first column."""
        while self._next in self._filled:
            self._next += 1
        distance = self._next - self._last
        self._last = self._next
        width = _span(node, "colspan", WIDEST)
        height = _span(node, "rowspan", MOST_ROWS)
        self._next += width
        if height > 1:
            self._reaches.update(dict.fromkeys(range(self._last, min(self._next, MOST_COLUMNS)), height - 1))
        return distance


def _span(node: LexborNode, attribute: str, most: int) -> int:
    return min(max(number_of(node.attributes.get(attribute)) or 1, 1), most)
