"""The calls to the simulated systems: counts by system and route, and the last calls, without secrets and bodies."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

KEPT_CALLS = 2_000
_SECRET_HEADERS = frozenset({b"authorization", b"x-api-key", b"cookie"})


class Traffic:
    """The calls since the data were last made."""

    def __init__(self) -> None:
        self.by_system: Counter[str] = Counter({"fs": 0, "wiseflow": 0, "laas": 0, "slack": 0})
        self.by_route: Counter[str] = Counter()
        self._calls: deque[tuple[float, str, str, str, str, str, int, str | None, str | None, Any]] = deque(
            maxlen=KEPT_CALLS
        )

    def arrived(self, system: str, route: str) -> None:
        self.by_system[system] += 1
        self.by_route[f"{system} {route}"] += 1

    def answered(
        self,
        system: str,
        method: str,
        path: str,
        query: str,
        route: str,
        *,
        status: int,
        fault: str | None,
        org_id: str | None,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        """Keep a call for the log. ``status`` 0 means that the connection was closed without an answer."""
        self._calls.append((time.time(), system, method, path, query, route, status, fault, org_id, headers))

    def latest(self, system: str | None, limit: int) -> list[dict[str, Any]]:
        """The last calls, oldest first."""
        calls = [call for call in self._calls if system is None or call[1] == system]
        return [
            {
                "at": at,
                "system": name,
                "method": method,
                "path": path,
                "query": query,
                "route": route,
                "status": status,
                "fault": fault,
                "orgId": org_id,
                "headers": {
                    name.decode("latin-1"): "***" if name in _SECRET_HEADERS else value.decode("latin-1")
                    for name, value in headers
                },
            }
            for at, name, method, path, query, route, status, fault, org_id, headers in calls[-limit:]
        ]
