"""Delivers what settled messages owe: index entries, and alerts with their folding and muting.

An effect is struck out only after it was delivered, so a crash may deliver it again with the same id, and never loses it. A
channel that is away costs nothing but the wait of its own effects.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.blacklist import Blacklist, muted_by
from casebridge.alerts.channel import AlertChannel, LogIndex, alert_text
from casebridge.alerts.outbox import AlertOutbox
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Document
from casebridge.errors import CaseError
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import MessageStatus
from casebridge.messaging.worker import ALERT, LOG_INDEX

logger = logging.getLogger(__name__)

GROUP: Final = 100
ALERTS_AT_ONCE: Final = 5


class Relay:
    """Several may run; each holds what it works on for `hold`, and tries a channel that was away again after `retry`."""

    def __init__(
        self,
        queue: MeldingQ,
        alerts: AlertOutbox,
        blacklist: Blacklist,
        channel: AlertChannel | None,
        log_index: LogIndex | None,
        clock: Clock,
        give_up: timedelta,
        *,
        hold: timedelta,
        retry: timedelta,
        parallel: int = 4,
    ) -> None:
        self._queue = queue
        self._alerts = alerts
        self._blacklist = blacklist
        self._channel = channel
        self._log_index = log_index
        self._clock = clock
        self._give_up = give_up
        self._hold = hold
        self._retry = retry
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="relay")

    def deliver(self, settled: Sequence[str] = ()) -> int:
        """Deliver what the messages `settled` by this process owe, then what others left; return how many were relieved."""
        documents = self._queue.owing(settled) if settled else self._queue.claim_owing(GROUP, self._hold)
        if not documents:
            return 0
        rest = list(self._pool.map(self._deliver_effects, documents))
        done: list[Document] = []
        for document, left in zip(documents, rest, strict=True):
            if not left and document["status"] == MessageStatus.PROCESSED.value:
                done.append(document)
            else:
                delivered = [effect["id"] for effect in document["effects"] if effect["id"] not in left]
                retry_at = self._clock.now() + self._retry if left else None
                self._queue.effects_delivered(document["_id"], delivered, retry_at)
        self._queue.move_processed(done)
        return len(documents)

    def _deliver_effects(self, document: Document) -> frozenset[str]:
        """Try each owed effect; return the ids of those that are still owed."""
        left = set()
        for effect in document["effects"]:
            try:
                self._deliver_effect(effect)
            except CaseError as error:
                if not self._given_up(document, effect):
                    left.add(effect["id"])
                logger.info("case %s: %s not delivered: %s", document["correlationId"], effect["kind"], error.code)
        if document["effects"]:
            crash_point("effect_delivered")
        return frozenset(left)

    def _deliver_effect(self, effect: Mapping[str, Any]) -> None:
        if effect["kind"] == ALERT:
            self._alerts.owe(Alert.from_body(effect["body"]))
        elif effect["kind"] == LOG_INDEX and self._log_index is not None:
            self._log_index.index({"id": effect["id"], **effect["body"]})

    def _given_up(self, document: Document, effect: Mapping[str, Any]) -> bool:
        """An index entry may be lost at last, an alert never."""
        since = document.get("finishedAt") or document["enqueuedAt"]
        return effect["kind"] == LOG_INDEX and bool(self._clock.now() - since > self._give_up)

    def send_alerts(self) -> int:
        """Send the folded alerts that are due; return how many people were told."""
        if self._channel is None:
            return 0
        due = self._alerts.claim(ALERTS_AT_ONCE, self._hold)
        rows = self._blacklist.rows() if due else []
        sent = 0
        for alert in due:
            if muted_by(alert, rows, self._clock.now()):
                self._alerts.settle(alert, "muted")
                continue
            try:
                self._channel.send(alert_text(alert))
            except CaseError as error:
                logger.warning("alert for %s not sent: %s", alert["institution"], error.code)
                self._alerts.postpone(alert, error.retry_after or self._retry)
                continue
            self._alerts.settle(alert, "sent")
            sent += 1
        return sent

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
