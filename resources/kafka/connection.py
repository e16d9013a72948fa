"""Connects clients of Kafka as the settings say. `causes` has the codes of errors."""

import logging
import ssl
import traceback
from collections.abc import Callable
from typing import Any, Final, TypeVar

from kafka.errors import KafkaConnectionError
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from casebridge.settings import KafkaSettings
from resources.kafka import header_names
from resources.kafka.causes import HUNG_UP, UNREACHABLE, NotConnectedError, cause_of

# kafka-python's log is off. It reports every failed connection, which our consumer and producer report once. At debug level it
# also logs every byte that it sends, including passwords.
logging.getLogger("kafka").setLevel(logging.CRITICAL)
header_names.take_any()

BOOTSTRAP_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0

Client = TypeVar("Client")


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options that consumers, producers and administrators share."""
    options: dict[str, Any] = {
        "bootstrap_servers": (settings.bootstrap_servers or "").split(","),
        "client_id": "casebridge",
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_seconds * 1000),
        "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000),
        # Tries are at most one second apart, so a broker that was away is found again soon.
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
    """A consumer, producer or administrator that is connected. Raises `KafkaError`, and leaves nothing open then.

    kafka-python starts a thread and opens sockets before it connects, and does not close them if it finds no broker. Its error
    says only that there was no broker. If a connection ended for a known reason, `NotConnectedError` is raised with its code.
    """
    opened: list[_NetClient] = []

    def open_one(**given: Any) -> _NetClient:
        opened.append(_NetClient(**given))
        return opened[-1]

    try:
        return client(**options, kafka_client=open_one)
    except Exception as error:
        for one in opened:
            one.close()
        codes = [code for one in opened if (code := one.connections.cause())]
        if codes and cause_of(error) == UNREACHABLE:
            raise NotConnectedError(codes[0]) from error
        raise


class _Connections(KafkaConnectionManager):
    """Remembers why connections ended, and leaves no sockets open."""

    def __init__(self, net: NetworkSelector, **options: Any) -> None:
        super().__init__(net, **options)
        self._codes: set[str] = set()
        self._accepted = False

    def cause(self) -> str | None:
        """The most specific code of why there is no connection; None if no broker accepted one."""
        specific = sorted(self._codes - {UNREACHABLE, HUNG_UP})
        # About every second time, kafka-python loses a refusal that the broker sends just before it closes the connection.
        return specific[0] if specific else HUNG_UP if self._accepted else None

    def get_connection(self, node_id: Any, *arguments: Any, **options: Any) -> Any:
        known = self._conns.get(node_id)
        connection: KafkaConnection = super().get_connection(node_id, *arguments, **options)
        if connection is not known:
            connection.close_future.add_errback(lambda error: self._codes.add(cause_of(error)))
        return connection

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        try:
            transport = await super()._build_transport(node, timeout_at)
        except KafkaConnectionError as error:
            context = error.__context__
            self._accepted |= isinstance(context, ssl.SSLError)
            # The connection keeps the error, and the error's frames keep the socket. Otherwise each try leaves one open.
            for each in (error, context):
                if each is not None:
                    traceback.clear_frames(each.__traceback__)
            raise
        self._accepted = True
        return transport


class _NetClient(KafkaNetClient):
    def __init__(self, **options: Any) -> None:
        net = NetworkSelector(**options)
        self.connections = _Connections(net, **options)
        super().__init__(net, self.connections, **options)
