"""Limits the time of a whole answer by a socket reader with a deadline.

The timeouts of `requests` limit a silence, not an answer: a byte every ten seconds would occupy a worker for ever. Here each read
from the socket, for headers and body, waits no longer than the rest of the call's time.
"""

import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_call = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give answers that this thread reads within the block `seconds` in all. A read after that raises `TimeoutError`."""
    _call.ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        _call.ends_at = None


def seconds_left() -> float | None:
    """The seconds that are left of this thread's call; `None` outside of a call."""
    ends_at: float | None = getattr(_call, "ends_at", None)
    return None if ends_at is None else ends_at - time.monotonic()


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket. Each wait is limited to the rest of the call's time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._socket_timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = seconds_left()
        if left is not None:
            if left <= 0:
                raise TimeoutError("the answer took longer than a call may take")
            self._sock.settimeout(left if self._socket_timeout is None else min(left, self._socket_timeout))
        try:
            return self._raw.readinto(buffer)
        finally:
            # The next call may use this connection and has its whole time.
            self._sock.settimeout(self._socket_timeout)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp: Any = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock))


class _HttpConnection(HTTPConnection):
    response_class = _DeadlineResponse


class _HttpsConnection(HTTPSConnection):
    response_class = _DeadlineResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class DeadlineAdapter(HTTPAdapter):
    """An adapter of `requests` whose connections have the deadline. It retries nothing."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager
