"""A record of Kafka with its place in its topic, as the engine uses it. `resources.kafka` fetches and publishes records."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from casebridge.fingerprint import short_hash
from casebridge.personal_data import Personal

KEPT_BYTES: Final = 16 * 1024
"""How many bytes of key and headers are kept of a record that is too large."""


@dataclass(frozen=True)
class Record:
    """One record. `topic_id` differs from that of an earlier topic with the same name. Old brokers send none."""

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
        """The place at which an operator finds the record: `begrunnelse-forespoersel|0|42`."""
        return f"{self.topic}|{self.partition}|{self.offset}"

    @property
    def fingerprint(self) -> str:
        """The same for each delivery of the same record. A record at the same place in a recreated topic has another one."""
        value = hashlib.sha256(self.value or b"").hexdigest()
        return short_hash(self.topic, self.partition, self.offset, self.timestamp.isoformat(), value)

    @property
    def size(self) -> int:
        """The number of bytes that the sender chose: key, value and headers."""
        named = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + named

    def without_value(self) -> tuple["Record", tuple[str, ...]]:
        """The record without its value, and the names of the parts that were left out.

        This is for records that are too large. The key and the headers stay if they are small: the key says to a reader of the
        dead letter whose record it is.
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
        """The record as it is stored in its message."""
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
