"""The channels for the effects that every installation has: alerts, and entries of the log index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.channel import LogIndex
from casebridge.alerts.outbox import AlertOutbox
from casebridge.errors import CaseError
from casebridge.safe_names import ALL_NAMES, SafeNames

ALERT: Final = "alert"
LOG_INDEX: Final = "log_index"
OF_THE_ENTRY: Final = frozenset({"laas.document_refused", "laas.call_unsendable"})
"""Errors of a single entry: the index refuses it, or it cannot be sent. The index takes other entries."""


class AlertEffects:
    """Puts alerts into the outbox, where they are folded by cause. An alert is never given up."""

    may_be_given_up = False

    def __init__(self, alerts: AlertOutbox) -> None:
        self._alerts = alerts

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        for effect in effects:
            self._alerts.enqueue(Alert.from_body(effect["body"]))
        return {}


class LogIndexEffects:
    """Registers outcomes in the log index. Without an index they are dropped."""

    may_be_given_up = True

    def __init__(self, log_index: LogIndex | None, names: SafeNames = ALL_NAMES) -> None:
        """`names` says which names of institutions and queues may be sent."""
        self._log_index = log_index
        self._names = names

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        left: dict[str, str] = {}
        if self._log_index is None:
            return left
        for effect in effects:
            try:
                self._log_index.index({"id": effect["id"], **self._names.of_document(effect["body"])})
            except CaseError as error:
                if error.code in OF_THE_ENTRY:
                    raise
                left[effect["id"]] = error.code
        return left
