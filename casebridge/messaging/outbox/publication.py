"""A record for a topic of Kafka: the body of an effect of kind `kafka`. It is published in `resources.kafka`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from casebridge.messaging.queue.message import Message, PendingEffect
from casebridge.personal_data import Personal

KAFKA: Final = "kafka"
EFFECT_ID: Final = "casebridge_effect-id"
"""The header by which a reader recognises a record that was sent twice after a crash."""
OURS: Final = ("casebridge_", "kafka_dlt-")
"""The prefixes of our own headers. A sender's headers with these prefixes are not copied."""
WITHHELD: Final = "casebridge_{part}-withheld"
"""The header that says why the `value`, `key` or `headers` of the record were left out."""


@dataclass(frozen=True)
class Publication:
    """One record to publish. Records with the same key keep their order."""

    topic: str
    key: Personal[bytes | None] = field(repr=False)
    value: Personal[bytes | None] = field(repr=False)
    headers: Personal[tuple[tuple[str, bytes | None], ...]] = field(default=(), repr=False)

    def effect_of(self, message: Message) -> PendingEffect:
        """The effect of this claim of the message. A header has its id too, and replaces any header of that name."""
        effect_id = PendingEffect.id_of(message, KAFKA)
        headers = [(name, value) for name, value in self.headers if name.lower() != EFFECT_ID]
        body = {
            "topic": self.topic,
            "key": self.key,
            "value": self.value,
            "headers": [[name, value] for name, value in (*headers, (EFFECT_ID, effect_id.encode()))],
        }
        return PendingEffect(effect_id, KAFKA, body)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Publication":
        headers = tuple((name, value) for name, value in body.get("headers", []))
        return cls(body["topic"], body.get("key"), body.get("value"), headers)
