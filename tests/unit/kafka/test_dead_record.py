"""The dead letter of a record, whatever its sender wrote into it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from casebridge.messaging.outbox.publication import EFFECT_ID, Publication
from casebridge.messaging.queue.message import Failure, Message, MessageStatus
from casebridge.messaging.queue.outcome import Outcome
from casebridge.sources.dead_record import announce_dead_record
from casebridge.sources.record import KEPT_BYTES, Record
from casebridge.sources.record_inbox import RecordInbox, too_large

NOW = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
TOPIC = "begrunnelse-forespoersel"


class Inbox:
    """Stands for MeldingQ: keeps what it is given."""

    def __init__(self) -> None:
        self.accepted: list[Any] = []

    def accept(self, messages: Any) -> list[str]:
        self.accepted += messages
        return [message.key for message in messages]


def letter_of(record: Record, payload: dict[str, Any] | None = None) -> tuple[Publication, str]:
    """What is published, and the effect's id."""
    document = {"_id": "key", "origin": record.origin(), "payload": payload or {}, "claim": "token", "errors": []}
    failure = Failure(NOW, 1, "read_record", "permanent", "kafka.record_unreadable", "It failed.", "Look at it.")
    message = Message.from_document(document)
    (effect,) = announce_dead_record(message, Outcome(message, MessageStatus.DEAD, "read_record", failure))
    return Publication.from_body(effect.body), effect.id


def record(key: bytes | None, value: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    return Record(TOPIC, None, 0, 42, NOW, key, value, headers)


@pytest.mark.parametrize("name", [EFFECT_ID, EFFECT_ID.upper(), "casebridge_value-withheld", "kafka_dlt-attempts"])
def test_a_senders_own_header_of_our_name_does_not_stand_beside_ours(name: str) -> None:
    letter, effect_id = letter_of(record(b"k", b"v", (name, b"forged"), ("why", b"because")))
    headers = [value for header, value in letter.headers if header.lower() == EFFECT_ID]
    assert headers == [effect_id.encode()]
    assert b"forged" not in {value for _, value in letter.headers}
    assert ("why", b"because") in letter.headers


def test_a_tombstone_stays_one_and_a_header_without_value_too() -> None:
    letter, _ = letter_of(record(b"k", None, ("empty", None)))
    assert (letter.key, letter.value) == (b"k", None)
    assert ("empty", None) in letter.headers


@pytest.mark.parametrize(
    ("key", "headers", "withheld"),
    [
        (b"k", [("small", b"s")], {"value"}),
        (b"k" * (KEPT_BYTES + 1), [("small", b"s")], {"value", "key"}),
        (b"k", [("small", b"s"), ("large", b"l" * KEPT_BYTES)], {"value", "headers"}),
    ],
    ids=["value", "key", "headers"],
)
def test_of_a_record_that_is_too_large_what_fits_is_kept_and_the_rest_is_said(
    key: bytes, headers: list[tuple[str, bytes | None]], withheld: set[str]
) -> None:
    inbox = Inbox()
    RecordInbox(inbox, {}, 100).accept([record(key, b"x" * 1000, *headers)])  # type: ignore[arg-type]  # in the queue's place
    (message,) = inbox.accepted
    letter, _ = letter_of(Record.from_origin(message.origin), message.payload)

    assert message.payload["tooLarge"]
    assert letter.value == b""
    assert letter.key == (None if "key" in withheld else key)
    assert ("small", b"s") in letter.headers
    told = {name for name, _ in letter.headers if name.endswith("-withheld")}
    assert told == {f"casebridge_{part}-withheld" for part in withheld}
    assert too_large("place", 100).code == "kafka.record_too_large"
