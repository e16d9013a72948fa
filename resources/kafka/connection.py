"""How every client of Kafka connects, from the settings. What an error is called here is in `causes`."""

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

# It tells of every connection that it could not make, where our consumer and producer say it once; and of every byte that it
# sends, passwords among them, where somebody asks for details.
logging.getLogger("kafka").setLevel(logging.CRITICAL)
header_names.take_any()

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

    kafka-python starts a thread and opens sockets before it looks for the broker, and forgets them when there is none. Its
    error says no more than that there was none; ours is the reason, where a connection ended with one.
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
        codes = [code for one in opened if (code := one.connections.why_none())]
        if codes and cause_of(error) == UNREACHABLE:
            raise NotConnectedError(codes[0]) from error
        raise


class _Connections(KafkaConnectionManager):
    """Remembers why connections ended, and leaves no sockets behind."""

    def __init__(self, net: NetworkSelector, **options: Any) -> None:
        super().__init__(net, **options)
        self._codes: set[str] = set()
        self._taken = False

    def why_none(self) -> str | None:
        """The code that tells most of why no connection came about; None if nobody was there."""
        told = sorted(self._codes - {UNREACHABLE, HUNG_UP})
        # kafka-python loses a refusal that the broker sends just before it hangs up, every other time or so.
        return told[0] if told else HUNG_UP if self._taken else None

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
            behind = error.__context__
            self._taken |= isinstance(behind, ssl.SSLError)
            # The frames hold the socket, and the connection holds the error: in a long outage that is a socket a second.
            for each in (error, behind):
                if each is not None:
                    traceback.clear_frames(each.__traceback__)
            raise
        self._taken = True
        return transport


class _NetClient(KafkaNetClient):
    def __init__(self, **options: Any) -> None:
        net = NetworkSelector(**options)
        self.connections = _Connections(net, **options)
        super().__init__(net, self.connections, **options)
