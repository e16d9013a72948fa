"""The error of a stored message that cannot be read."""

from collections.abc import Sequence

from casebridge.errors import PermanentError


def unreadable(fields: Sequence[str]) -> PermanentError:
    """The error, with the names of the `fields` concerned. It does not quote their values."""
    return PermanentError(
        "casebridge.message_unreadable",
        f"A stored message cannot be read: {', '.join(fields)} is missing, or not what it must be.",
        "Find it in oai.meldingQ by this code among its errors, correct it there and replay it, or discard it.",
    )
