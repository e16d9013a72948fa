"""Why Kafka does not do what we ask: a code for each cause, which logs and states show, and what to do about it."""

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
    """No connection was made. `code` is the cause."""

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
    # These are errors of our own CA file. A problem with the broker's certificate is a KafkaError.
    (FileNotFoundError, PermissionError, ssl.SSLError): "kafka.ca_file_unreadable",
}


def cause_of(error: BaseException) -> str:
    """The code of an error's cause, for logs and states. The text of the error is not used, because it may quote a request."""
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
    """Log why Kafka cannot be used. Callers do it once for each failed try.

    kafka-python's own log is off, because it reports every connection.
    """
    code = cause_of(error)
    logger.warning(
        "Kafka is away (%s, %s): going on when it is back. Next: %s", code, type(error).__name__, NEXT_ACTIONS[code]
    )
