"""Ids of outside systems. For the engine they are opaque texts. Only this module converts them.

WISEflow's ids are numbers, and stored and published documents have them as numbers: a case's `flowId`, a message's
`explanationRequestId`, a step's `participantId`. Another exam system may have texts. Reads and queries accept both forms. A
write stores a number as a number.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from bson import Int64
from pydantic import BeforeValidator, PlainSerializer

SHAPE: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}", re.ASCII)
"""Ids are shown to operators, so a text that may be a name or a sentence is not accepted as an id."""
WHOLE_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
LARGEST: Final = 2**63
"""MongoDB's whole numbers are smaller than this."""

Stored = int | str


def external_id(stored: Any) -> str:
    """The id in a stored value, a whole number or a text. Raises `ValueError` for anything else."""
    if type(stored) is int or type(stored) is Int64:
        return str(int(stored))
    if type(stored) is str and SHAPE.fullmatch(stored):
        return stored
    raise ValueError("not an id of an outside system")


def optional_external_id(stored: Any) -> str | None:
    """Like `external_id`, but `None` stays `None`."""
    return None if stored is None else external_id(stored)


def stored_id(name: str) -> Stored:
    """The id in the form that is stored and published: a number if it is a whole number, else the text."""
    if WHOLE_NUMBER.fullmatch(name) and -LARGEST <= (number := int(name)) < LARGEST:
        return number
    return name


def both_forms(*names: str) -> list[Stored]:
    """All forms that these ids may have in documents, for a query with `$in`."""
    return [form for name in names for form in dict.fromkeys((stored_id(name), name))]


def in_order(names: Iterable[str]) -> list[str]:
    """The ids in order: numbers by their value, then texts."""
    return sorted(names, key=_place)


def _place(name: str) -> tuple[bool, int, str]:
    form = stored_id(name)
    return (False, form, "") if isinstance(form, int) else (True, 0, form)


ExternalId = Annotated[str, BeforeValidator(external_id), PlainSerializer(stored_id, return_type=int | str)]
"""An id in a payload or a step's result. In code it is a text, and it is stored as `stored_id` says."""
