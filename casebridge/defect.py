"""Defects of casebridge: how they are logged, and how they become errors of a case.

Only the type and the place are shown. The text of an exception may quote a value, and the value may be personal data.
"""

import logging

from casebridge.database_faults import is_away, is_too_large, too_large
from casebridge.errors import CaseError, TransientError

logger = logging.getLogger(__name__)


def as_case_error(error: BaseException) -> CaseError:
    """`error` itself if it is a `CaseError`. Else it is logged as a defect, and retried like an outage: a release may correct it.

    A `BaseException` such as a library's panic or `SystemExit` counts, too: it is a failure of the step that raised it.
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
    """Log an error for a loop that continues after every error: either the database is away, or it is a defect.

    `who` is the logger for the first. `then` is added to its line, and says what happens next.
    """
    if is_away(error):
        who.warning("the database is away (%s)%s", type(error).__name__, then)
    else:
        log_defect(error)


def log_defect(error: BaseException) -> None:
    """Log the type and the place of a defect."""
    withheld = RuntimeError(f"{type(error).__name__} (text withheld)").with_traceback(error.__traceback__)
    logger.error("a defect: %s", type(error).__name__, exc_info=withheld)
