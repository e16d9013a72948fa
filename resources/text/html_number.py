"""A number in an attribute of an HTML element."""

import re
from typing import Final

NUMBER: Final = re.compile(r"\s*+([+-]?[0-9]{1,6})(?![0-9])", re.ASCII)


def number_of(attribute: str | None) -> int | None:
    """The whole number at the beginning of `attribute`. None if there is none, or it has more than six digits."""
    found = NUMBER.match(attribute or "")
    return int(found[1]) if found else None
