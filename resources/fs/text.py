"""Brings the text of an explanation into a form that FS accepts.

Characters that FS cannot store are removed and counted. A text that is too long or empty is an error, because a cut or empty
explanation would look like an answer.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from casebridge.errors import PermanentError
from casebridge.exams.visible_text import says_something
from resources.text.readable_text import LONGEST

UNCARRIED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""C0 controls except tab and line ends, lone surrogates and non-characters. XML 1.0 or UTF-8 cannot represent them."""


@dataclass(frozen=True)
class CarriedText:
    """A text that FS accepts, and the number of characters that were removed for it."""

    text: str = field(repr=False)
    removed: int


def carried_text(text: str, maximum_bytes: int) -> CarriedText:
    """`text` without characters that FS cannot store. Raises `PermanentError` `fs.text_empty` or `fs.text_too_long`."""
    carried, removed = UNCARRIED.subn("", text)
    if not says_something(carried):
        raise PermanentError(
            "fs.text_empty",
            "The explanation is empty, and an empty explanation is never registered in FS.",
            "Ask the assessor (through the institution) to write the explanation, then replay the message.",
            system="FS",
        )
    if len(text) > LONGEST:
        # A text of this length was not read and may still be HTML. So it is refused, even if FS would accept its size.
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
