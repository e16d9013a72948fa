"""Publishes messages' pending effects of kind `kafka`: this is the relay's channel to Kafka.

The producer is idempotent and has `acks=all`, so an acknowledged record is on every in-sync replica exactly once. After a crash
between the acknowledgement and our own note of it, the record is published again. It has the same effect id in a header, so a
reader can recognise it.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from kafka.producer.future import FutureRecordMetadata

from casebridge.crash_points import crash_point
from casebridge.defect import log_defect
from casebridge.errors import PermanentError
from casebridge.messaging.outbox.publication import OURS, WITHHELD, Publication
from casebridge.settings import KafkaSettings
from resources.kafka.causes import cause_of
from resources.kafka.connection import client_options, connected
from resources.kafka.topics import topics_of

logger = logging.getLogger(__name__)

AWAY_SECONDS: Final = 10.0
"""How long no new connection is tried after a failed one, because the relay has other channels to serve."""
LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Our own limit for a record. The broker may have a lower one, and refuses larger records."""


class RecordRefusedError(Exception):
    """The client refuses to send this record, because it contains something that Kafka cannot store."""


NEVER_ACCEPTED: Final = (
    RecordRefusedError, MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, InvalidTopicError,
)  # fmt: skip
"""Errors of the record itself. Other records can still be sent."""


def _withheld(part: str) -> tuple[str, bytes]:
    return WITHHELD.format(part=part), b"larger than the broker takes"


def _never_accepted(error: Exception) -> PermanentError:
    code = "kafka.record_refused" if isinstance(error, RecordRefusedError | InvalidTopicError) else cause_of(error)
    return PermanentError(
        code,
        "Kafka does not accept one of the records that are still to be delivered.",
        "Look at the message's field undelivered. A replay of the message delivers it again. Other records go on.",
        system="Kafka",
    )


class KafkaChannel:
    """The `EffectChannel` to Kafka. It connects when there is something to deliver. Thread-safe."""

    may_be_given_up = False

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._away_until = 0.0

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Send all records, then wait once for all. Return the code of the error for each effect that was not delivered.

        Raises `PermanentError` if there is only one record and no broker will ever accept it.
        """
        publications = {effect["id"]: Publication.from_body(effect["body"]) for effect in effects}
        unpublished = self._publish(publications)
        for key in [key for key, error in unpublished.items() if isinstance(error, MessageSizeTooLargeError)]:
            # A record that is too large makes the whole producer fail, and all records sent with it.
            del unpublished[key]
            unpublished |= self._publish_alone(key, publications[key])
        if len(unpublished) < len(publications):
            crash_point("record_published")
        if len(effects) == 1 and any(isinstance(error, NEVER_ACCEPTED) for error in unpublished.values()):
            (error,) = unpublished.values()
            raise _never_accepted(error)
        return {key: cause_of(error) for key, error in unpublished.items()}

    def _publish_alone(self, key: str, publication: Publication) -> dict[str, Exception]:
        """Publish one record. If it is too large, leave out the value, then other headers, then the key.

        The message keeps the whole record. What must be published is its position and its error, in our own headers.
        """
        ours = tuple(header for header in publication.headers if header[0].startswith(OURS))
        no_value = replace(publication, value=b"", headers=(*publication.headers, _withheld("value")))
        no_headers = replace(no_value, headers=(*ours, _withheld("value"), _withheld("headers")))
        no_key = replace(no_headers, key=None, headers=(*no_headers.headers, _withheld("key")))
        unpublished: dict[str, Exception] = {}
        for smaller in (publication, no_value, no_headers, no_key):
            unpublished = self._publish({key: smaller})
            if not isinstance(unpublished.get(key), MessageSizeTooLargeError):
                break
        return unpublished

    def _publish(self, publications: Mapping[str, Publication]) -> dict[str, Exception]:
        """Publish the records. Return the error of each record that was not published."""
        try:
            producer = self._connected()
        except (KafkaError, OSError, ValueError) as error:
            logger.warning("Kafka takes nothing (%s): %d records stay owed", cause_of(error), len(publications))
            return dict.fromkeys(publications, error)
        failed: dict[str, Exception] = {}
        sent: dict[str, FutureRecordMetadata] = {}
        away: dict[str, Exception] = {}
        for key, publication in publications.items():
            if publication.topic in away:
                failed[key] = away[publication.topic]
                continue
            try:
                sent[key] = producer.send(
                    publication.topic,
                    key=publication.key,
                    value=publication.value,
                    # Kafka allows a header without a value, but the client does not.
                    headers=[(name, value or b"") for name, value in publication.headers],
                )
            except KafkaTimeoutError as error:
                # The topic has no leader, or is gone. Waiting for it once is enough.
                failed[key] = away[publication.topic] = error
            except KafkaError as error:
                failed[key] = error
            except Exception as error:  # noqa: BLE001 the client refuses a record in many ways, and the others must be sent
                log_defect(error)
                failed[key] = RecordRefusedError()
        failed |= self._await(producer, sent)
        if any(not isinstance(error, RecordRefusedError) for error in failed.values()):
            # After a failure the broker may not know the producer's sequence any more (a broker that stores nothing forgets it).
            # And the producer must not send later what the relay will deliver again.
            self._drop(producer)
            logger.warning("Kafka did not take %d of %d records: they stay owed", len(failed), len(publications))
        return failed

    def _await(self, producer: KafkaProducer, sent: Mapping[str, FutureRecordMetadata]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        try:
            # This is longer than a delivery may take. So afterwards each record was accepted or given up, and none is sent later.
            producer.flush(timeout=2 * self._settings.request_seconds)
        except KafkaError as error:
            logger.warning("Kafka answers slowly (%s)", type(error).__name__)
        for key, future in sent.items():
            try:
                future.get(timeout=0)
            except KafkaError as error:
                failed[key] = error
        return failed

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                if time.monotonic() < self._away_until:
                    raise KafkaConnectionError
                # Set before connecting, so that other threads do not wait for the same outage.
                self._away_until = time.monotonic() + AWAY_SECONDS
                with topics_of(self._settings) as topics:
                    topics.ensure()
                seconds = self._settings.request_seconds
                self._producer = connected(
                    KafkaProducer,
                    **client_options(self._settings),
                    acks="all",
                    enable_idempotence=True,
                    allow_auto_create_topics=False,
                    max_block_ms=int(seconds * 1000),
                    delivery_timeout_ms=int(seconds * 1000),
                    max_request_size=LARGEST_BYTES,
                )
            return self._producer

    def _drop(self, producer: KafkaProducer) -> None:
        with self._lock:
            if self._producer is producer:
                self._producer = None
                self._away_until = 0.0
        _close(producer, 0)

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            _close(producer, self._settings.request_seconds)


def _close(producer: KafkaProducer, seconds: float) -> None:
    """Close the producer, also while it is sending. The relay delivers again what was not acknowledged."""
    with contextlib.suppress(KafkaError):
        producer.close(timeout=seconds)
