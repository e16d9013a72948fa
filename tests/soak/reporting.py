"""Which differences were reported to people. One that was not is *untold*, the name of its count.

A difference is a case that must not be registered as it is, and whose right text is not in FS. The simulators know these cases:
malformed rows, contradictions of identity, groups with one submission, rows that were withdrawn or opened again. A difference
counts as reported if one of these is true:

- The case is withdrawn in casebridge, and its row is withdrawn in FS.
- A Slack message contains the correlation id of the case.
- A Slack message contains the institution of the case and the code for which it was set aside.
- The malformed row has no case, and its institution has as many reported messages without a case as it has such rows.

Each message that was set aside must be reported, and each foreign document that was not handled.
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


class Reporting:
    """The cases of the simulators and of `oai.begrunnelser`, the messages, and what arrived in Slack, read once."""

    def __init__(self, world: World, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self._alerts: list[str] = [one["message"]["text"] for one in world.control.slack_messages()]
        self._documents = {key_of_case(case): case for case in world.database.cases.find({})}
        self._row_of = {case["_id"]: row for row in rows if (case := self.document(row))}
        self._messages = {str(one["_id"]): one for one in world.database.messages.find({}, {"steps": 0, "effects": 0})}

    def document(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Our case of a case of the simulators."""
        return self._documents.get(key_of(row))

    def correlation_id(self, row: dict[str, Any]) -> str | None:
        document = self.document(row)
        return document["correlationId"] if document else None

    def is_set_aside_by_decision(self, key: str) -> bool:
        """Whether a message in the queue is dead by decision, for a case with a data fault."""
        message = self._messages[key]
        last = (message.get("errors") or [{}])[-1]
        if message.get("status") not in ENDED or last.get("category") != ErrorCategory.PERMANENT.value:
            return False
        row = self._row_of.get(_case_id(message))
        return row is None or bool(row["dataFaults"]) or row["expected"] != REGISTERED

    def untold(self, foreign: Collection[str]) -> dict[str, list[str]]:
        return {
            "cases": [f"case {row['caseId']}" for row in self._unreported_cases(foreign)],
            "messages set aside": sorted(
                key
                for key, message in self._messages.items()
                if message.get("status") in ENDED and key not in foreign and not self._is_reported(message)
            ),
            "messages of others": sorted(key for key in foreign if not self._is_handled_or_reported(key)),
        }

    def _unreported_cases(self, foreign: Collection[str]) -> Iterator[dict[str, Any]]:
        reported_rows = Counter(
            one.get("orgId")
            for key, one in self._messages.items()
            if one.get("status") in ENDED and key not in foreign and not _case_id(one) and self._is_reported(one)
        )
        for row in self._rows:
            if row["expected"] == REGISTERED or row["state"] == "held" or row["textIsRight"]:
                continue
            document = self.document(row)
            if document is not None:
                if self._is_unreported(row, document):
                    yield row
            elif row["expected"] != WITHDRAWN:  # its row was removed before it could be read
                reported_rows[row["orgId"]] -= 1
                if reported_rows[row["orgId"]] < 0:
                    yield row

    def _is_unreported(self, row: dict[str, Any], document: dict[str, Any]) -> bool:
        if row["state"] == WITHDRAWN and document["state"] == CaseState.WITHDRAWN.value:
            return False
        codes = {document.get("setAside"), *self._codes(document["correlationId"])} - {None}
        return not self._is_in_slack(document["correlationId"]) and not any(
            self._is_in_slack(row["orgId"], str(code)) for code in codes
        )

    def _codes(self, correlation_id: str) -> Iterator[str]:
        for message in self._messages.values():
            if message.get("correlationId") == correlation_id and message.get("status") in ENDED:
                yield from (error["code"] for error in (message.get("errors") or [])[-1:])

    def _is_reported(self, message: dict[str, Any]) -> bool:
        code = (message.get("errors") or [{}])[-1].get("code")
        return self._is_in_slack(str(message.get("correlationId"))) or self._is_in_slack(
            str(message.get("orgId")), str(code)
        )

    def _is_handled_or_reported(self, key: str) -> bool:
        """Whether a foreign document was handled, or set aside and reported. One that was inserted as dead needs no report."""
        message = self._messages.get(key)
        if message is None:
            return True
        return message.get("status") in ENDED and (not message.get("errors") or self._is_reported(message))

    def _is_in_slack(self, *words: str) -> bool:
        """Whether one Slack message has all of these words."""
        return any(all(word in text for word in words) for text in self._alerts)


def _case_id(message: dict[str, Any]) -> Any:
    payload = message.get("payload")
    return payload.get("caseId") if isinstance(payload, dict) else None


def key_of(row: dict[str, Any]) -> tuple[str, int]:
    """What identifies the case of a row of the simulators."""
    return row["sourceCode"], row["personlopenr"]


def key_of_case(case: dict[str, Any]) -> tuple[str, int]:
    """The same, for a document of `oai.begrunnelser`."""
    return _code_of(case["vurdId"]), case["personlopenr"]


def _code_of(vurd_id: str) -> str:
    """The source code of an exam id, in any spelling that was stored."""
    try:
        padded = vurd_id.rstrip("=") + "=" * (-len(vurd_id.rstrip("=")) % 4)
        return base64.urlsafe_b64decode(padded).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return vurd_id
