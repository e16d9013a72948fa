"""Whether a text says something: decided on what a reader can see, not on what is stored.

Pure. White space, controls, zero-width and direction characters, soft hyphens, marks without a letter and letters that are
drawn as a blank show nothing, so a text of only these is empty.
"""

import unicodedata
from typing import Final

SHOWN_CATEGORIES: Final = frozenset("LNPS")
"""First letters of the general categories that are drawn: letters, numbers, punctuation, symbols. Not drawn, or not alone:
marks (M), separators (Z), controls, format characters, surrogates, private and unassigned characters (C)."""

BLANK: Final = frozenset(
    "\u115f\u1160\u3164\uffa0"  # fillers of Hangul
    "\u2800"  # a Braille pattern without dots
    "\ufffc\ufffd"  # stand-ins for an object and for a character that could not be read
    "\U00013441\U00013442"  # blanks among the hieroglyphs
    "\U0001d159"  # a note head that is not drawn
)
"""Letters and symbols by their category that are drawn as nothing, or that stand for something that is not there."""


def says_something(text: str) -> bool:
    """Whether at least one character of `text` can be seen."""
    return any(_is_shown(character) for character in text)


def _is_shown(character: str) -> bool:
    return character not in BLANK and unicodedata.category(character)[0] in SHOWN_CATEGORIES
