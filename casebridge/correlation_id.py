"""The name of a case or a message from end to end: in the queue, the audit, logs and alerts. It says nothing of a person."""

import secrets
from datetime import datetime
from typing import Final

VERSION: Final = 7 << 76
VARIANT: Final = 2 << 62
NEITHER: Final = ~(0xF << 76 | 3 << 62)


def new_correlation_id(moment: datetime) -> str:
    """A UUID of version 7 (RFC 9562) as 32 hexadecimal digits; Python itself has them from 3.14 on.

    It begins with its time, so what is written at one time lies together in every index that has it: with a million cases
    stored, a random name would touch a page of its own in each. No rule depends on that time; one before 1970 counts as 1970.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return f"{(milliseconds << 80 | secrets.randbits(80)) & NEITHER | VERSION | VARIANT:032x}"
