"""Ids of outside systems. The engine takes them for opaque texts; this is the one place that converts them.

WISEflow's ids are numbers, and stored and published documents hold them as such: a case's `flowId`, a message's
`explanationRequestId`, a step's `participantId`. Another exam system may have texts. Both forms are found when documents are
read or queried, and what is a number stays one when it is written.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from bson import Int64
from pydantic import BeforeValidator, PlainSerializer

SHAPE: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}", re.ASCII)
"""Ids are told to operators: what may be a name or a sentence is none."""
WHOLE_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
LARGEST: Final = 2**63
"""Whole numbers of MongoDB are smaller."""

Stored = int | str


def external_id(stored: Any) -> str:
    """The id in a stored value, a whole number or a text. Raises `ValueError` for anything else."""
    if type(stored) is int or type(stored) is Int64:
        return str(int(stored))
    if type(stored) is str and SHAPE.fullmatch(stored):
        return stored
    raise ValueError("not an id of an outside system")


def optional_external_id(stored: Any) -> str | None:
    """Likewise; `None` where there is none."""
    return None if stored is None else external_id(stored)


def stored_id(name: str) -> Stored:
    """The id as it is stored and published: what is a whole number is one."""
    if WHOLE_NUMBER.fullmatch(name) and -LARGEST <= (number := int(name)) < LARGEST:
        return number
    return name


def both_forms(*names: str) -> list[Stored]:
    """The forms under which documents may hold these ids, for a query by `$in`."""
    return [form for name in names for form in dict.fromkeys((stored_id(name), name))]


def in_order(names: Iterable[str]) -> list[str]:
    """Numbers by their value, then texts."""
    return sorted(names, key=_place)


def _place(name: str) -> tuple[bool, int, str]:
    form = stored_id(name)
    return (False, form, "") if isinstance(form, int) else (True, 0, form)


ExternalId = Annotated[str, BeforeValidator(external_id), PlainSerializer(stored_id, return_type=int | str)]
"""An id in a payload or a step's result: a text for us, and stored as it always was."""
