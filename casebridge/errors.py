"""The errors of a case, in five categories. The category decides what happens next.

`messaging.flow.retry` decides what becomes of a failed message. Programming errors are ordinary Python exceptions, and are not
here.

Every text is written for an operator and contains no personal data: ids, systems, statuses and settings only.
"""

from datetime import timedelta
from enum import StrEnum


class ErrorCategory(StrEnum):
    """The category of an error: whether it is retried, and whether that costs an attempt (design §3)."""

    PERMANENT = "permanent"
    """Trying again cannot help: the message is set aside for a person at once."""
    TRANSIENT = "transient"
    """The other end has a problem: try again later; costs an attempt."""
    NOT_READY = "not_ready"
    """What we need does not exist yet: try again later; costs no attempt."""
    RATE_LIMITED = "rate_limited"
    """The other end asked us to slow down: wait as long as it says; costs no attempt."""
    AUTH_BROKEN = "auth_broken"
    """The institution's access is broken (credentials, address, certificate): pause the institution; costs no attempt."""


class CaseError(Exception):
    """A failure that an operator can act on.

    - `code` is stable, and names the cause for folding, filtering and documentation (`docs/operating.md` has a row for each).
    - `cause` and `next_action` are sentences without personal data.
    - `system` is the outside system at fault, if any.
    - `retry_after` is the wait that the other end asked for, if any.
    """

    category: ErrorCategory

    def __init__(
        self,
        code: str,
        cause: str,
        next_action: str,
        *,
        system: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(f"{cause} {next_action}")
        self.code = code
        self.cause = cause
        self.next_action = next_action
        self.system = system
        self.retry_after = retry_after

    def of(self, subject: str) -> "CaseError":
        """The same error with the subject in its cause: an exam or a flow, never a person."""
        cause = f"Of {subject}: {self.cause}"
        return type(self)(self.code, cause, self.next_action, system=self.system, retry_after=self.retry_after)

    def doing(self, next_action: str) -> "CaseError":
        """The same error with another next action."""
        return type(self)(self.code, self.cause, next_action, system=self.system, retry_after=self.retry_after)


class PermanentError(CaseError):
    """Set aside for a person at once."""

    category = ErrorCategory.PERMANENT


class TransientError(CaseError):
    """Tried again, a limited number of times."""

    category = ErrorCategory.TRANSIENT


class NotReadyError(CaseError):
    """Tried again later, at no cost."""

    category = ErrorCategory.NOT_READY


class RateLimitedError(CaseError):
    """Tried again after the wait that the other end asked for, at no cost."""

    category = ErrorCategory.RATE_LIMITED


class AuthBrokenError(CaseError):
    """Pauses the institution until its access works again: refused credentials, a wrong address or certificate."""

    category = ErrorCategory.AUTH_BROKEN


class LeaseLostError(Exception):
    """Another worker has taken over the message, so this one must stop. Not a failure of the case."""
