"""Rules that make a simulated system fail, and the random draw that decides whether a rule is applied to a call.

``front_door`` turns a fault into an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulators.order_fields import EXPRESSION, FLAG, RETRY_AFTER, SECONDS, TEXT, check_fields, number, whole

KINDS = frozenset(
    {"latency", "drop", "status", "slow_body", "html", "empty", "invalid_json", "expired_token", "not_found_body"}
)
SYSTEMS = frozenset({"fs", "wiseflow", "laas", "slack"})
FIELDS = {
    "kind": TEXT,
    "system": TEXT,
    "method": TEXT.or_null(),
    "path": EXPRESSION.or_null(),
    "orgId": TEXT.or_null(),
    "probability": number(0, 1),
    "times": whole(0).or_null(),
    "status": whole(200, 599).or_null(),
    "retry_after": RETRY_AFTER.or_null(),
    "seconds": SECONDS,
    "after_effect": FLAG,
}
_DEFAULT_STATUS = {"status": 503, "expired_token": 401, "not_found_body": 404}
_WITH_A_PAGE = frozenset({"html", "invalid_json", "not_found_body"})
_STATUS_WITHOUT_BODY = frozenset({204, 304})


@dataclass(slots=True)
class FaultRule:
    """One rule. A field that is left out matches every call."""

    kind: str
    system: str
    draws: Random
    method: str | None = None
    path: re.Pattern[str] | None = None
    org_id: str | None = None
    probability: float = 1.0
    times: int | None = None
    status: int = 200
    retry_after: float | str | None = None
    seconds: float = 0.2
    after_effect: bool = False
    struck: int = field(default=0)

    @classmethod
    def from_json(cls, rule: dict[str, Any], *, seed: str) -> FaultRule:
        """Read a rule of the control interface.

        :raises ValueError: an unknown kind, system or field, or a value that no call can be answered with
        """
        check_fields(rule, FIELDS)
        kind, system = rule.get("kind"), rule.get("system")
        if kind not in KINDS or system not in SYSTEMS:
            raise ValueError(f"a rule needs a kind of {sorted(KINDS)} and a system of {sorted(SYSTEMS)}")
        status = rule.get("status") or _DEFAULT_STATUS.get(kind, 200)
        if kind in _WITH_A_PAGE and status in _STATUS_WITHOUT_BODY:
            raise ValueError(f"status must be another for {kind}: an answer of {status} has no body")
        return cls(
            kind=kind,
            system=system,
            draws=Random(f"{seed}:{kind}:{system}"),
            method=rule.get("method"),
            path=re.compile(rule["path"]) if rule.get("path") else None,
            org_id=rule.get("orgId"),
            probability=rule.get("probability", 1.0),
            times=rule.get("times"),
            status=status,
            retry_after=rule.get("retry_after"),
            seconds=rule.get("seconds", 0.2),
            after_effect=rule.get("after_effect", False),
        )

    def strikes(self, system: str, method: str, path: str, org_id: str | None) -> bool:
        """Whether the rule matches this call and its random draw succeeds. If so, this is counted."""
        if system != self.system or (self.method and method != self.method.upper()):
            return False
        if self.org_id is not None and org_id != self.org_id:
            return False
        if self.path is not None and not self.path.search(path):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.probability < 1.0 and self.draws.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "system": self.system, "struck": self.struck, "times": self.times}


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def draw(self, system: str, method: str, path: str, org_id: str | None) -> tuple[float, FaultRule | None]:
        """Seconds to wait before anything happens, and the fault of the call, if any.

        The seconds of all matching latency rules are added up. Of the other rules, the first in the list that strikes is taken.
        """
        delay = 0.0
        for rule in self.rules:
            if not rule.strikes(system, method, path, org_id):
                continue
            if rule.kind != "latency":
                return delay, rule
            delay += rule.seconds
        return delay, None
