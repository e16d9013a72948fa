"""Who was told: of each difference between the world and what casebridge made of it, somebody has heard, or it is *untold*.

A difference is a case that the world says ought not to be registered (odd row, contradiction of identity, group with one
submission, withdrawn, opened again after it was registered) and whose right text is not registered in FS either. It is settled
when the case is withdrawn with us as it is in FS, and told when a Slack message names its correlation id, or its institution and
the code for which it was set aside. Rows so odd that they have no case are told of by as many messages of their institution that
are set aside, have no case either, and were told of.
A message set aside, and one that somebody else put into the queue, must be told of as well.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

from casebridge.errors import ErrorCategory
from casebridge.exams.explanations.case_state import CaseState
from casebridge.messaging.queue.message import MessageStatus
from tests.support.world import World

REGISTERED: Final = "registered"
WITHDRAWN: Final = "withdrawn"
ENDED: Final = (MessageStatus.DEAD.value, MessageStatus.DISCARDED.value)


class ToldDifferences:
    """The cases of the world beside those of `oai.begrunnelser`, dead messages and what arrived in Slack, read once."""

    def __init__(self, world: World, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self._alerts: list[str] = [one["message"]["text"] for one in world.control.slack_messages()]
        self._documents = {key_of_case(case): case for case in world.database.cases.find({})}
        self._row_of = {case["_id"]: row for row in rows if (case := self.document(row))}
        self._messages = {str(one["_id"]): one for one in world.database.messages.find({}, {"steps": 0, "effects": 0})}

    def document(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Our case of a case of the world."""
        return self._documents.get(key_of(row))

    def correlation_id(self, row: dict[str, Any]) -> str | None:
        document = self.document(row)
        return document["correlationId"] if document else None

    def is_rightly_aside(self, key: str) -> bool:
        """Whether a message in the queue is dead by decision, for a case that somebody had done something to."""
        message = self._messages[key]
        last = (message.get("errors") or [{}])[-1]
        if message.get("status") not in ENDED or last.get("category") != ErrorCategory.PERMANENT.value:
            return False
        row = self._row_of.get(_case_id(message))
        return row is None or bool(row["dataFaults"]) or row["expected"] != REGISTERED

    def untold(self, planted: Collection[str]) -> dict[str, list[str]]:
        return {
            "cases": [f"case {row['caseId']}" for row in self._untold_cases(planted)],
            "messages set aside": sorted(
                key
                for key, message in self._messages.items()
                if message.get("status") in ENDED and key not in planted and not self._is_told_of(message)
            ),
            "messages of others": sorted(key for key in planted if not self._has_ended_in_sight(key)),
        }

    def _untold_cases(self, planted: Collection[str]) -> Iterator[dict[str, Any]]:
        rows_told = Counter(
            one.get("orgId")
            for key, one in self._messages.items()
            if one.get("status") in ENDED and key not in planted and not _case_id(one) and self._is_told_of(one)
        )
        for row in self._rows:
            if row["expected"] == REGISTERED or row["state"] == "held" or row["textIsRight"]:
                continue
            document = self.document(row)
            if document is not None:
                if self._is_untold(row, document):
                    yield row
            elif row["expected"] != WITHDRAWN:  # that one was gone before anybody could read it
                rows_told[row["orgId"]] -= 1
                if rows_told[row["orgId"]] < 0:
                    yield row

    def _is_untold(self, row: dict[str, Any], document: dict[str, Any]) -> bool:
        if row["state"] == WITHDRAWN and document["state"] == CaseState.WITHDRAWN.value:
            return False
        codes = {document.get("setAside"), *self._codes(document["correlationId"])} - {None}
        return not self._names(document["correlationId"]) and not any(
            self._names(row["orgId"], str(code)) for code in codes
        )

    def _codes(self, correlation_id: str) -> Iterator[str]:
        for message in self._messages.values():
            if message.get("correlationId") == correlation_id and message.get("status") in ENDED:
                yield from (error["code"] for error in (message.get("errors") or [])[-1:])

    def _is_told_of(self, message: dict[str, Any]) -> bool:
        code = (message.get("errors") or [{}])[-1].get("code")
        return self._names(str(message.get("correlationId"))) or self._names(str(message.get("orgId")), str(code))

    def _has_ended_in_sight(self, key: str) -> bool:
        """Handled; or set aside, and then told of. One that was dead when it came needs no alert."""
        message = self._messages.get(key)
        if message is None:
            return True
        return message.get("status") in ENDED and (not message.get("errors") or self._is_told_of(message))

    def _names(self, *words: str) -> bool:
        """Whether one Slack message has all of these words."""
        return any(all(word in text for word in words) for text in self._alerts)


def _case_id(message: dict[str, Any]) -> Any:
    payload = message.get("payload")
    return payload.get("caseId") if isinstance(payload, dict) else None


def key_of(row: dict[str, Any]) -> tuple[str, int]:
    """What makes a case one case, of a row of the world."""
    return row["sourceCode"], row["personlopenr"]


def key_of_case(case: dict[str, Any]) -> tuple[str, int]:
    """The same, of a document of `oai.begrunnelser`."""
    return _code_of(case["vurdId"]), case["personlopenr"]


def _code_of(vurd_id: str) -> str:
    """An exam's id as its source code, in whatever spelling it was stored."""
    try:
        padded = vurd_id.rstrip("=") + "=" * (-len(vurd_id.rstrip("=")) % 4)
        return base64.urlsafe_b64decode(padded).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return vurd_id
