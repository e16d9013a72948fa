"""The payload of a queue's messages, as a typed value.

A flow names the model of its payload. The stored payload is validated once for each claimed message, at its first use. The
message then keeps the value, or the error. Only one worker at a time holds a message, so no lock is needed.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from casebridge.errors import CaseError
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.unreadable import unreadable
from casebridge.personal_data import DomainModel

PREFETCHED: Final = "payload"
"""The key under which the message keeps the value, or the error, during its attempt."""


class Payload(DomainModel):
    """The base of all payloads. Stored fields have names in camel case; those that a model does not name are ignored."""

    model_config = ConfigDict(alias_generator=to_camel)

    @classmethod
    def of(cls, message: Message) -> Self:
        """The payload of a message. Raises `PermanentError` `casebridge.message_unreadable`, or what `read` raises."""
        kept = message.prefetched.get(PREFETCHED)
        if isinstance(kept, cls):
            return kept
        if isinstance(kept, CaseError):
            raise kept
        try:
            payload = cls.read(message.payload)
        except CaseError as error:
            message.prefetched[PREFETCHED] = error
            raise
        message.prefetched[PREFETCHED] = payload
        return payload

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Validate a stored payload. A payload with errors of its own overrides this."""
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            raise unreadable(wanting("payload", error)) from None


class NoPayload(Payload):
    """For flows that need nothing but the message itself."""


def wanting(place: str, error: ValidationError) -> list[str]:
    """The top-level fields that are missing or invalid. Names below them are left out: the sender may have chosen those."""
    return sorted({f"{place}.{problem['loc'][0]}" for problem in error.errors(include_input=False) if problem["loc"]})
