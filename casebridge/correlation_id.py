"""The name of a case or a message from end to end: in the queue, the audit, logs and alerts. It says nothing of a person."""

import re
import secrets
from datetime import datetime
from typing import Final

from casebridge.tenant import UNKNOWN

VERSION: Final = 7 << 76
VARIANT: Final = 2 << 62
NEITHER: Final = ~(0xF << 76 | 3 << 62)
OURS: Final = re.compile(r"[0-9a-f-]{32,36}", re.IGNORECASE)
"""Ours, and a UUID as other programs write it."""
TOKEN: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[0-9A-Za-z][0-9A-Za-z._:-]{0,63}", re.ASCII)
IDENTITY_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{11}(?![0-9])", re.ASCII)


def new_correlation_id(moment: datetime) -> str:
    """A UUID of version 7 (RFC 9562) as 32 hexadecimal digits; Python itself has them from 3.14 on.

    It begins with its time, so what is written at one time lies together in every index that has it: with a million cases
    stored, a random name would touch a page of its own in each. No rule depends on that time; one before 1970 counts as 1970.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return f"{(milliseconds << 80 | secrets.randbits(80)) & NEITHER | VERSION | VARIANT:032x}"


def safe_id(value: object) -> str:
    """The id as people are told of it: in Slack, the log index, logs, reports. `unknown` for what may hold anything.

    A stored message of another program has the id that its sender chose. It is repeated if it is a UUID, or a short token of
    letters and digits that cannot be a name, a candidate number or an identity number alone (docs/operating.md).
    """
    if not isinstance(value, str):
        return UNKNOWN
    if OURS.fullmatch(value) or (TOKEN.fullmatch(value) and not IDENTITY_NUMBER.search(value)):
        return value
    return UNKNOWN
