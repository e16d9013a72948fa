"""Publishes what messages owe to Kafka: the relay's channel for effects of kind `kafka`.

Idempotent and `acks=all`: a record that was acknowledged is on every replica that counts, once. A crash between that and our
own record of it publishes again under the same effect id (a header), which a reader can tell.
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
"""How long nobody looks for a broker that was not there: the relay has other channels to serve."""
LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Of a record that we send: the broker has the word, and refuses what it will not have."""


class RecordRefusedError(Exception):
    """The client will not send this record: what it holds is nothing that Kafka knows."""


NEVER_TAKEN: Final = (
    RecordRefusedError, MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, InvalidTopicError,
)  # fmt: skip
"""It is the record's fault: any other may be sent."""


def _withheld(part: str) -> tuple[str, bytes]:
    return WITHHELD.format(part=part), b"larger than the broker takes"


def _never_taken(error: Exception) -> PermanentError:
    code = "kafka.record_refused" if isinstance(error, RecordRefusedError | InvalidTopicError) else cause_of(error)
    return PermanentError(
        code,
        "A record that is owed to Kafka is one that it does not take.",
        "Look at the message's field undelivered; a replay of the message owes it anew. The other records go on.",
        system="Kafka",
    )


class KafkaChannel:
    """An `EffectChannel`. Connects when there is something to deliver; thread-safe."""

    may_be_given_up = False

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._away_until = 0.0

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Send all, then wait once for all. Raises `PermanentError` for a single one that no broker will ever take."""
        publications = {effect["id"]: Publication.from_body(effect["body"]) for effect in effects}
        left = self._publish(publications)
        for key in [key for key, error in left.items() if isinstance(error, MessageSizeTooLargeError)]:
            # One record too large fails the whole producer and everything beside it.
            del left[key]
            left |= self._publish_alone(key, publications[key])
        if len(left) < len(publications):
            crash_point("record_published")
        if len(effects) == 1 and any(isinstance(error, NEVER_TAKEN) for error in left.values()):
            (error,) = left.values()
            raise _never_taken(error)
        return {key: cause_of(error) for key, error in left.items()}

    def _publish_alone(self, key: str, publication: Publication) -> dict[str, Exception]:
        """With less and less of it, if it is too large: it is in the message, and its place and its error must be told."""
        ours = tuple(header for header in publication.headers if header[0].startswith(OURS))
        no_value = replace(publication, value=b"", headers=(*publication.headers, _withheld("value")))
        no_headers = replace(no_value, headers=(*ours, _withheld("value"), _withheld("headers")))
        no_key = replace(no_headers, key=None, headers=(*no_headers.headers, _withheld("key")))
        left: dict[str, Exception] = {}
        for smaller in (publication, no_value, no_headers, no_key):
            left = self._publish({key: smaller})
            if not isinstance(left.get(key), MessageSizeTooLargeError):
                break
        return left

    def _publish(self, publications: Mapping[str, Publication]) -> dict[str, Exception]:
        """What could not be published, each with what went wrong."""
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
                    # The client takes no header without a value, though Kafka does.
                    headers=[(name, value or b"") for name, value in publication.headers],
                )
            except KafkaTimeoutError as error:
                # Nobody leads the topic, or it is gone: waiting once for it is enough.
                failed[key] = away[publication.topic] = error
            except KafkaError as error:
                failed[key] = error
            except Exception as error:  # noqa: BLE001 the client refuses a record in many ways, and the others must be sent
                log_defect(error)
                failed[key] = RecordRefusedError()
        failed |= self._await(producer, sent)
        if any(not isinstance(error, RecordRefusedError) for error in failed.values()):
            # A producer that failed may have lost its place (a broker without memory knows it no longer), and must not
            # send later what is owed still.
            self._drop(producer)
            logger.warning("Kafka did not take %d of %d records: they stay owed", len(failed), len(publications))
        return failed

    def _await(self, producer: KafkaProducer, sent: Mapping[str, FutureRecordMetadata]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        try:
            # Longer than a delivery may take: then each record was taken or given up, and none is sent after this.
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
                # Until it is there: whoever else wants to publish meanwhile is not made to wait for the same outage.
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
    """Also when something is under way still: whoever owes it sends it again."""
    with contextlib.suppress(KafkaError):
        producer.close(timeout=seconds)
