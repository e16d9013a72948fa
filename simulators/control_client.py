"""A client of the control interface, with one method for each call. For tests, the demo and the benchmarks."""

from __future__ import annotations

from typing import Any

import requests

ANSWER_WITHIN_S = 30.0


class ControlClient:
    """Calls the control interface of running simulators. Refused orders raise ``ValueError`` with the reason."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def population(self, **order: Any) -> dict[str, Any]:
        """Make all data anew: ``institutions, courses, requests, days, seed, oddities, variety, hold, env, today``."""
        return self._object("POST", "/population", order)

    def release(self, count: int | None = None) -> dict[str, Any]:
        """Make the next held requests appear in FS. With None, all of them."""
        return self._object("POST", "/release", {"count": count})

    def add_request(self, org_id: str, **order: Any) -> dict[str, Any]:
        """Add one request: ``oddity, examId, answer_text, hold, raw, omit, expected, groupWith, externalIds``, FS's fields."""
        return self._object("POST", "/requests", {"orgId": org_id} | order)

    def withdraw(self, case_id: int, *, how: str = "finished", text: str | None = None) -> dict[str, Any]:
        """Finish a case by hand in FS, remove its row (``how="removed"``) or open it again (``how="reopened"``)."""
        return self._object("POST", "/withdraw", {"caseId": case_id, "how": how, "text": text})

    def change(self, case_id: int, **fields: Any) -> dict[str, Any]:
        """Change a row in FS and its participant in WISEflow. The README lists the fields."""
        return self._object("POST", "/change", {"caseId": case_id} | fields)

    def assessors(self, **pace: Any) -> dict[str, Any]:
        """Set ``minimum_delay_s``, ``maximum_delay_s``, ``paused``."""
        return self._object("POST", "/assessors", pace)

    def change_answer(
        self, explanation_request_id: int, text: str | None = None, *, after_s: float = 0.0, edit: bool = False
    ) -> dict[str, Any]:
        """Unlock an answer and let the assessor submit another text."""
        body = {"explanationRequestId": explanation_request_id, "text": text, "after_s": after_s, "edit": edit}
        return self._object("POST", "/answers/change", body)

    def credentials(self, org_id: str, system: str, *, valid: bool) -> dict[str, Any]:
        """Let ``fs`` or ``wiseflow`` refuse an institution's credentials, or accept them again."""
        return self._object("POST", "/credentials", {"orgId": org_id, "system": system, "valid": valid})

    def expire_tokens(self) -> dict[str, Any]:
        """Refuse every WISEflow token issued so far."""
        return self._object("POST", "/tokens/expire", {})

    def faults(self, *rules: dict[str, Any]) -> dict[str, Any]:
        """Replace the fault rules in force by these."""
        return self._object("POST", "/faults", {"rules": list(rules)})

    def faults_in_force(self) -> list[dict[str, Any]]:
        """The rules in force, and how often each has been applied."""
        rules: list[dict[str, Any]] = self._object("GET", "/faults")["rules"]
        return rules

    def clear_faults(self) -> dict[str, Any]:
        return self._object("DELETE", "/faults")

    def modes(self, **modes: Any) -> dict[str, Any]:
        """Switch what the contracts leave open, and return all modes. Without arguments nothing is changed."""
        return self._object("POST", "/modes", modes)

    def rates(self, **rates: int) -> dict[str, Any]:
        """Set ``calls_per_second`` and ``calls_per_minute`` of each WISEflow credential set. Defaults are the vendor's limits."""
        return self._object("POST", "/rates", rates)

    def summary(self) -> dict[str, Any]:
        return self._object("GET", "/summary")

    def cases(self) -> list[dict[str, Any]]:
        return self._list("/cases")

    def slack_messages(self) -> list[dict[str, Any]]:
        return self._list("/slack/messages")

    def laas_documents(self) -> list[dict[str, Any]]:
        return self._list("/laas/documents")

    def requests_log(self, system: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """The last calls, oldest first, without secrets."""
        query = {"limit": limit} | ({"system": system} if system else {})
        return self._list("/requests-log", query)

    def wait(self, condition: str, count: int, *, timeout_s: float = 30.0, **narrow: str) -> int:
        """Wait until a number of ``GET /summary`` is reached; return the number.

        ``outstanding`` and ``held`` must fall to ``count``, all others must rise to it. ``calls`` can be limited to a ``system``
        and a ``route``.

        :raises TimeoutError: not reached in time
        """
        query = {"condition": condition, "count": count, "timeout_s": timeout_s} | narrow
        answer = self._call("GET", "/wait", query=query, timeout_s=timeout_s + ANSWER_WITHIN_S)
        if not answer["reached"]:
            raise TimeoutError(f"{condition} is {answer['value']}, not {count}, after {timeout_s} s")
        return int(answer["value"])

    def _object(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self._call(method, path, body=body)
        return answer

    def _list(self, path: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._call("GET", path, query=query)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        timeout_s: float = ANSWER_WITHIN_S,
    ) -> Any:
        response = self._session.request(method, self._address + path, json=body, params=query, timeout=timeout_s)
        if response.status_code == 400:
            raise ValueError(response.json()["error"])
        response.raise_for_status()
        return response.json()
