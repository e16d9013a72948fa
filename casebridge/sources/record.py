"""A record of Kafka, as the engine knows it: what it holds, where it stood. Fetching and publishing are in `resources.kafka`."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from casebridge.fingerprint import short_hash
from casebridge.personal_data import Personal

KEPT_BYTES: Final = 16 * 1024
"""Of key and headers of a record that is larger than we take."""


@dataclass(frozen=True)
class Record:
    """`topic_id` tells a topic from one of the same name that was there before it; brokers of old have none."""

    topic: str
    topic_id: str | None
    partition: int
    offset: int
    timestamp: datetime
    key: Personal[bytes | None] = field(repr=False)
    value: Personal[bytes | None] = field(repr=False)
    headers: Personal[tuple[tuple[str, bytes | None], ...]] = field(default=(), repr=False)

    @property
    def place(self) -> str:
        """The name by which an operator finds it: `begrunnelse-forespoersel|0|42`."""
        return f"{self.topic}|{self.partition}|{self.offset}"

    @property
    def fingerprint(self) -> str:
        """The same for ever for the same record, however often it is delivered; another's at its place in a topic made anew."""
        value = hashlib.sha256(self.value or b"").hexdigest()
        return short_hash(self.topic, self.partition, self.offset, self.timestamp.isoformat(), value)

    @property
    def size(self) -> int:
        """Bytes of what its sender chose."""
        named = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + named

    def without_value(self) -> tuple["Record", tuple[str, ...]]:
        """Its place, with its key and those of its headers that are small; and which parts were left out.

        For one that is larger than we take: a reader of its dead letter knows by the key whose it is.
        """
        left_out = ["value"] if self.value else []
        key, room = self.key, KEPT_BYTES
        if len(key or b"") > room:
            key = None
            left_out.append("key")
        room -= len(key or b"")
        headers = []
        for name, value in self.headers:
            size = len(name.encode()) + len(value or b"")
            if size <= room:
                headers.append((name, value))
                room -= size
        if len(headers) < len(self.headers):
            left_out.append("headers")
        return replace(self, key=key, value=None, headers=tuple(headers)), tuple(left_out)

    def origin(self) -> dict[str, Any]:
        """The record as a message keeps it."""
        return {
            "topic": self.topic,
            "topicId": self.topic_id,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp,
            "key": self.key,
            "value": self.value,
            "headers": [[name, value] for name, value in self.headers],
        }

    @classmethod
    def from_origin(cls, origin: dict[str, Any]) -> "Record":
        return cls(
            origin["topic"],
            origin.get("topicId"),
            origin["partition"],
            origin["offset"],
            origin["timestamp"],
            origin.get("key"),
            origin.get("value"),
            tuple((name, value) for name, value in origin.get("headers", [])),
        )
