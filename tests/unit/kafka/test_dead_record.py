"""The dead letter of a record, whatever its sender wrote."""

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
    """Plays the part of MeldingQ: keeps the messages that it is given."""

    def __init__(self) -> None:
        self.accepted: list[Any] = []

    def accept(self, messages: Any) -> list[str]:
        self.accepted += messages
        return [message.key for message in messages]


def letter_of(record: Record, payload: dict[str, Any] | None = None) -> tuple[Publication, str]:
    """The published dead letter, and the effect's id."""
    document = {"_id": "key", "origin": record.origin(), "payload": payload or {}, "claim": "token", "errors": []}
    failure = Failure(NOW, 1, "read_record", "permanent", "kafka.record_unreadable", "It failed.", "Look at it.")
    message = Message.from_document(document)
    (effect,) = announce_dead_record(message, Outcome(message, MessageStatus.DEAD, "read_record", failure))
    return Publication.from_body(effect.body), effect.id


def record(key: bytes | None, value: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    return Record(TOPIC, None, 0, 42, NOW, key, value, headers)


@pytest.mark.parametrize("name", [EFFECT_ID, EFFECT_ID.upper(), "casebridge_value-withheld", "kafka_dlt-attempts"])
def test_a_header_of_the_sender_with_our_name_is_left_out(name: str) -> None:
    letter, effect_id = letter_of(record(b"k", b"v", (name, b"forged"), ("why", b"because")))
    headers = [value for header, value in letter.headers if header.lower() == EFFECT_ID]
    assert headers == [effect_id.encode()]
    assert b"forged" not in {value for _, value in letter.headers}
    assert ("why", b"because") in letter.headers


def test_a_missing_value_of_a_record_or_header_stays_missing() -> None:
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
def test_a_dead_letter_of_a_large_record_keeps_what_fits_and_names_the_rest(
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
    withheld_names = {name for name, _ in letter.headers if name.endswith("-withheld")}
    assert withheld_names == {f"casebridge_{part}-withheld" for part in withheld}
    assert too_large("place", 100).code == "kafka.record_too_large"
