"""The numbers or dashes before the items of an HTML list."""

from typing import Final

from selectolax.lexbor import LexborNode

from resources.text.html_number import number_of

ROMAN: Final = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x")),
    *((9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
LARGEST_ROMAN: Final = 3999
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


class OpenList:
    """A list that is being read. It numbers items as a browser does.

    The attributes are `start`, `reversed` and `type` of the list, and `value` of an item.
    """

    def __init__(self, node: LexborNode) -> None:
        self._is_numbered = node.tag == "ol"
        if not self._is_numbered:
            return
        attributes = node.attributes
        self._type = attributes.get("type") or "1"
        self._step = -1 if "reversed" in attributes else 1
        first = number_of(attributes.get("start"))
        if first is None:
            first = 1 if self._step == 1 else sum(child.tag == "li" for child in node.iter())
        self._number = first

    def next_marker(self, item: LexborNode) -> str:
        """The text before the next item, `item`."""
        if not self._is_numbered:
            return "- "
        value = number_of(item.attributes.get("value"))
        number = self._number if value is None else value
        self._number = number + self._step
        return f"{_formatted(number, self._type)}. "


def _formatted(number: int, kind: str) -> str:
    """`number` in the form of HTML's attribute `type`, or in digits if that form cannot show it."""
    form = {"a": _letters, "i": _roman}.get(kind.lower())
    if form is None or number < 1 or (form is _roman and number > LARGEST_ROMAN):
        return str(number)
    return form(number).upper() if kind.isupper() else form(number)


def _letters(number: int) -> str:
    text = ""
    while number:
        number, place = divmod(number - 1, len(LETTERS))
        text = LETTERS[place] + text
    return text


def _roman(number: int) -> str:
    text = ""
    for value, sign in ROMAN:
        count, number = divmod(number, value)
        text += sign * count
    return text
