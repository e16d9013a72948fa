"""How every client of Kafka connects, from the settings; and what an error of kafka-python is called here."""

import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

from kafka.errors import (
    AuthorizationError,
    IllegalSaslStateError,
    KafkaError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from casebridge.settings import KafkaSettings

logger = logging.getLogger(__name__)

BOOTSTRAP_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0

Client = TypeVar("Client")


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What consumers, producers and administrators share."""
    options: dict[str, Any] = {
        "bootstrap_servers": (settings.bootstrap_servers or "").split(","),
        "client_id": "casebridge",
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_seconds * 1000),
        "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000),
        # A broker that was away is found again soon, by one connection a second.
        "reconnect_backoff_max_ms": int(RECONNECT_SECONDS * 1000),
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
    if settings.sasl_mechanism:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": settings.password.get_secret_value() if settings.password else None,
        }
    return options


def connected(client: Callable[..., Client], **options: Any) -> Client:
    """A consumer, producer or administrator that has found its broker. Raises `KafkaError`, and leaves nothing open then.

    kafka-python starts a thread and opens sockets before it looks for the broker, and forgets them when there is none.
    """
    opened: list[KafkaNetClient] = []

    def open_one(**given: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**given))
        return opened[-1]

    try:
        return client(**options, kafka_client=open_one)
    except Exception:
        for one in opened:
            one.close()
        raise


def cause_of(error: BaseException) -> str:
    """What is the matter, for logs and states; no text of an error, which may quote a request."""
    if isinstance(error, SaslAuthenticationFailedError | UnsupportedSaslMechanismError | IllegalSaslStateError):
        return "kafka.credentials_refused"
    if isinstance(error, AuthorizationError):
        return "kafka.forbidden"
    if isinstance(error, MessageSizeTooLargeError):
        return "kafka.record_too_large"
    if isinstance(error, UnsupportedCodecError):
        return "kafka.codec_missing"
    if isinstance(error, KafkaError) and not error.retriable:
        return "kafka.refused"
    return "kafka.unreachable"


def say_that_kafka_is_away(error: Exception) -> None:
    """Once for each look that found it so: kafka-python's own log, which tells of every connection, is off."""
    logger.warning("Kafka is away (%s, %s): going on when it is back", cause_of(error), type(error).__name__)
