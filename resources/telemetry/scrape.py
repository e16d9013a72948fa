"""The port that Prometheus scrapes. If it cannot be opened, cases are carried all the same, and it is tried again."""

import threading
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from casebridge.defect import log_defect
from resources.telemetry.log import logger

AGAIN_SECONDS: Final = 5.0
"""Time between two tries. During a restart the old process may still have the port."""


class ScrapeServer:
    """Answers `GET /metrics`. Its threads end with the process."""

    def __init__(
        self, address: str, port: int, registry: CollectorRegistry, again_seconds: float = AGAIN_SECONDS
    ) -> None:
        self._address = address
        self._port = port
        self._registry = registry
        self._again_seconds = again_seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._server: WSGIServer | None = None

    def start(self) -> None:
        """Open the port. If that fails, log it once and keep trying in the background."""
        if not self._opened(is_first=True):
            threading.Thread(target=self._open_until_done, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Close the port and stop trying to open it."""
        self._stop.set()
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _open_until_done(self) -> None:
        while not self._stop.wait(self._again_seconds):
            try:
                is_open = self._opened()
            except BaseException as error:  # noqa: BLE001 no defect may leave the process without its metrics
                log_defect(error)
                continue
            if is_open:
                logger.warning("metrics: port %d is open now", self._port)
                return

    def _opened(self, *, is_first: bool = False) -> bool:
        with self._lock:
            if self._stop.is_set():
                return True
            try:
                self._server, _ = start_http_server(self._port, self._address, self._registry)
            except OSError as error:
                if is_first:
                    logger.error(
                        "casebridge.metrics_port_closed: port %d at %s cannot be opened (%s). Cases are carried without metrics; "
                        "it is tried again every %.0f s. See who has the port, or set CASEBRIDGE_TELEMETRY__METRICS_PORT and "
                        "…__METRICS_ADDRESS to one of this host that is free.",
                        self._port, self._address, type(error).__name__, self._again_seconds,
                    )  # fmt: skip
                return False
            return True
