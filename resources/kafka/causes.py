"""Why Kafka does not do what we ask: a code for each cause, as logs and states show it, and what to do about it."""

import logging
import ssl
from collections.abc import Mapping
from typing import Final

from kafka.errors import (
    AuthorizationError,
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)

logger = logging.getLogger(__name__)

UNREACHABLE: Final = "kafka.unreachable"
HUNG_UP: Final = "kafka.hung_up"
TOPICS_MISSING: Final = "kafka.topics_missing"
CERTIFICATE_REFUSED: Final = "kafka.certificate_refused"
REFUSED: Final = "kafka.refused"
NEXT_ACTIONS: Final[Mapping[str, str]] = {
    UNREACHABLE: "see that the brokers run, and that CASEBRIDGE_KAFKA__BOOTSTRAP_SERVERS names them",
    HUNG_UP: "see that CASEBRIDGE_KAFKA__SECURITY_PROTOCOL, user, password and port are right; a broker that is just "
    "starting hangs up, too",
    "kafka.credentials_refused": "renew CASEBRIDGE_KAFKA__USER and CASEBRIDGE_KAFKA__PASSWORD, and start again",
    CERTIFICATE_REFUSED: "set CASEBRIDGE_KAFKA__CA_FILE to the authority of the brokers' certificates",
    "kafka.ca_file_unreadable": "correct CASEBRIDGE_KAFKA__CA_FILE, or the file",
    "kafka.forbidden": "give the user the rights of docs/kafka.md",
    TOPICS_MISSING: "let us make the topics (CASEBRIDGE_KAFKA__MAKE_TOPICS), or give the user its rights to them",
    "kafka.codec_missing": "install the package of the compression that the records' sender uses",
    "kafka.record_too_large": "let the brokers take larger records",
    REFUSED: "see the broker's log",
}


class NotConnectedError(KafkaConnectionError):
    """No connection came about, and `code` is why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


CAUSES: Final[Mapping[tuple[type[BaseException], ...], str]] = {
    (
        SaslAuthenticationFailedError,
        UnsupportedSaslMechanismError,
        IllegalSaslStateError,
    ): "kafka.credentials_refused",
    (AuthorizationError,): "kafka.forbidden",
    (InvalidReceiveError,): HUNG_UP,
    (MessageSizeTooLargeError,): "kafka.record_too_large",
    (UnsupportedCodecError,): "kafka.codec_missing",
    # Of our own file: what goes wrong with the other end's certificate is a KafkaError.
    (FileNotFoundError, PermissionError, ssl.SSLError): "kafka.ca_file_unreadable",
}


def cause_of(error: BaseException) -> str:
    """What is the matter, for logs and states; no text of an error, which may quote a request."""
    if isinstance(error, NotConnectedError):
        return error.code
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return CERTIFICATE_REFUSED
    for kinds, code in CAUSES.items():
        if isinstance(error, kinds):
            return code
    if isinstance(error, KafkaError) and not error.retriable:
        return REFUSED
    return UNREACHABLE


def say_that_kafka_is_away(error: Exception) -> None:
    """Once for each look that found it so: kafka-python's own log, which tells of every connection, is off."""
    code = cause_of(error)
    logger.warning(
        "Kafka is away (%s, %s): going on when it is back. Next: %s", code, type(error).__name__, NEXT_ACTIONS[code]
    )
