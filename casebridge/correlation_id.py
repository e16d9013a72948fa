"""Correlation ids: the names of cases and messages in the queue, the audit, logs and alerts. They say nothing about a person."""

import re
import secrets
from datetime import datetime
from typing import Final

from casebridge.tenant import UNKNOWN

VERSION: Final = 7 << 76
VARIANT: Final = 2 << 62
NEITHER: Final = ~(0xF << 76 | 3 << 62)
OURS: Final = re.compile(r"[0-9a-f-]{32,36}", re.IGNORECASE)
"""Our own ids, and a UUID as other programs write it."""
TOKEN: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[0-9A-Za-z][0-9A-Za-z._:-]{0,63}", re.ASCII)
IDENTITY_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{11}(?![0-9])", re.ASCII)


def new_correlation_id(moment: datetime) -> str:
    """A UUID of version 7 (RFC 9562) as 32 hexadecimal digits. Python has a function for these only from 3.14 on.

    It begins with its time, so entries of one time are neighbours in every index. With a million stored cases, each random id
    would touch another page of each index. No rule depends on the time in the id. A time before 1970 counts as 1970.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return f"{(milliseconds << 80 | secrets.randbits(80)) & NEITHER | VERSION | VARIANT:032x}"


def safe_id(value: object) -> str:
    """The id in the form that may be shown in Slack, the log index, logs and reports; `unknown` if it may not be shown.

    In a message of another program, the sender has chosen the id. It is shown if it is a UUID, or a short token of letters and
    digits that cannot be just a name, a candidate number or an identity number (docs/operating.md).
    """
    if not isinstance(value, str):
        return UNKNOWN
    if OURS.fullmatch(value) or (TOKEN.fullmatch(value) and not IDENTITY_NUMBER.search(value)):
        return value
    return UNKNOWN
