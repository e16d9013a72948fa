"""What a defect of ours looks like from outside: an error like any other, told by its type and place, never by its text.

The text of an exception may quote a value, and the value may be personal data; so nothing here repeats it.
"""

import logging

from casebridge.database_faults import is_away, is_too_large, too_large
from casebridge.errors import CaseError, TransientError

logger = logging.getLogger(__name__)


def as_case_error(error: BaseException) -> CaseError:
    """`error` itself if it is one of ours to handle; else a defect, logged and retried like an outage: a release may mend it.

    Also of what is no `Exception`: a library's panic or `SystemExit` in a step is a failure of that step, like any other.
    """
    if isinstance(error, CaseError):
        return error
    if is_too_large(error):
        return too_large("What was to be stored")
    log_defect(error)
    return TransientError(
        "casebridge.defect",
        f"A defect in casebridge: {type(error).__name__}.",
        "Report it with the time, and the case id if there is one; it is tried again.",
    )


def log_away_or_defect(who: logging.Logger, error: BaseException, then: str = "") -> None:
    """For a loop that goes on whatever happens: the database is away, which is no defect, or there is a defect.

    `then` says what is done about it.
    """
    if is_away(error):
        who.warning("the database is away (%s)%s", type(error).__name__, then)
    else:
        log_defect(error)


def log_defect(error: BaseException) -> None:
    """The type and the place of a defect."""
    withheld = RuntimeError(f"{type(error).__name__} (text withheld)").with_traceback(error.__traceback__)
    logger.error("a defect: %s", type(error).__name__, exc_info=withheld)
