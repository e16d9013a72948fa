"""How every client of Kafka connects, from the settings. What an error is called here is in `causes`."""

import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from casebridge.settings import KafkaSettings
from resources.kafka.causes import UNREACHABLE, HungUpError, cause_of

# It tells of every connection that it could not make, where our consumer and producer say it once; and of every byte that it
# sends, passwords among them, where somebody asks for details.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

BOOTSTRAP_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0
ENDS: Final = 100
"""So many ends of connections are kept, at most."""

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
    except Exception as error:  # noqa: BLE001 raised below
        for one in opened:
            one.close()
        reasons = [reason for one in opened if (reason := one.connections.reason())]
        told = reasons[0] if reasons and cause_of(error) == UNREACHABLE else error
    # Not where the other error is at hand: it would take the place of the error behind this one.
    raise told


class _Connections(KafkaConnectionManager):
    """Remembers how connections ended."""

    def __init__(self, net: NetworkSelector, **options: Any) -> None:
        super().__init__(net, **options)
        self._ends: deque[BaseException] = deque(maxlen=ENDS)
        self._taken = False

    def reason(self) -> KafkaError | None:
        """What tells most of why no connection came about; None if nobody was there."""
        for end in self._ends:
            if isinstance(end, KafkaError) and cause_of(end) != UNREACHABLE:
                return end
        # kafka-python loses a refusal that the broker sends just before it hangs up, every other time or so.
        return HungUpError() if self._taken else None

    def get_connection(self, node_id: Any, **options: Any) -> KafkaConnection:
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, **options)
        if connection is not known:
            connection.close_future.add_errback(self._ends.append)
        return connection

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        try:
            transport = await super()._build_transport(node, timeout_at)
        except KafkaConnectionError as error:
            self._taken |= isinstance(error.__context__, ssl.SSLError)
            raise
        self._taken = True
        return transport


class _NetClient(KafkaNetClient):
    def __init__(self, **options: Any) -> None:
        net = NetworkSelector(**options)
        self.connections = _Connections(net, **options)
        super().__init__(net, self.connections, **options)
