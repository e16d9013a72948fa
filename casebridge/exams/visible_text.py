"""Decides whether a text has at least one character that a reader can see. A text without one counts as empty.

These are not visible: white space, controls, zero-width and direction characters, soft hyphens, marks without a letter, and
letters that are drawn as a blank.
"""

import unicodedata
from typing import Final

SHOWN_CATEGORIES: Final = frozenset("LNPS")
"""First letters of Unicode's general categories that are visible: letters, numbers, punctuation, symbols.

Not visible, or not alone: marks (M), separators (Z), and controls, format characters, surrogates, private and unassigned
characters (C)."""

BLANK: Final = frozenset(
    "\u115f\u1160\u3164\uffa0"  # fillers of Hangul
    "\u2800"  # a Braille pattern without dots
    "\ufffc\ufffd"  # stand-ins for an object and for a character that could not be read
    "\U00013441\U00013442"  # blanks among the hieroglyphs
    "\U0001d159"  # a note head that is not drawn
)
"""Characters that are letters or symbols by their category, but are drawn as a blank or stand for a missing character."""


def says_something(text: str) -> bool:
    """Whether at least one character of `text` can be seen."""
    return any(_is_shown(character) for character in text)


def _is_shown(character: str) -> bool:
    return character not in BLANK and unicodedata.category(character)[0] in SHOWN_CATEGORIES
