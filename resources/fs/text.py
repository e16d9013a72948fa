"""The text of an explanation in the form in which FS can take it.

Pure. What cannot be carried is removed and counted; what is too long or empty is an error, because a cut or empty
explanation would look like an answer.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from casebridge.errors import PermanentError
from casebridge.exams.visible_text import says_something
from resources.text.readable_text import LONGEST

UNCARRIED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""C0 controls but tab and line ends, lone surrogates and non-characters: XML 1.0 and UTF-8 have no place for them."""


@dataclass(frozen=True)
class CarriedText:
    """A text that FS can take, and how many characters were removed for it."""

    text: str = field(repr=False)
    removed: int


def carried_text(text: str, maximum_bytes: int) -> CarriedText:
    """`text` without what cannot be carried. Raises `PermanentError` `fs.text_empty` or `fs.text_too_long`."""
    carried, removed = UNCARRIED.subn("", text)
    if not says_something(carried):
        raise PermanentError(
            "fs.text_empty",
            "The explanation is empty, and an empty explanation is never registered in FS.",
            "Ask the assessor (through the institution) to write the explanation, then replay the message.",
            system="FS",
        )
    if len(text) > LONGEST:
        # It was not read, so it may be HTML: whatever FS accepts, and however little is left of it, it is no answer.
        raise PermanentError(
            "fs.text_too_long",
            f"The explanation has {len(text)} characters; {LONGEST} are read at most.",
            "Have the assessor shorten it, or register it in FS by hand.",
            system="FS",
        )
    size = len(carried.encode())
    if size > maximum_bytes:
        raise PermanentError(
            "fs.text_too_long",
            f"The explanation has {size} bytes; FS accepts {maximum_bytes} (CASEBRIDGE_FS__MAXIMUM_TEXT_BYTES).",
            "Have the assessor shorten it, or register it in FS by hand.",
            system="FS",
        )
    return CarriedText(carried, removed)
