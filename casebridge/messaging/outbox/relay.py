"""Delivers the pending effects of messages, kind by kind, and the folded alerts.

An effect is removed only after it was delivered. So a crash never loses it, but it may be delivered again with the same id. A
channel that is away delays its own effects only.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.blacklist import Blacklist, muted_by
from casebridge.alerts.channel import AlertChannel, alert_text
from casebridge.alerts.outbox import AlertOutbox
from casebridge.clock import Clock
from casebridge.correlation_id import safe_id
from casebridge.crash_points import crash_point
from casebridge.database import Document
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.errors import CaseError, PermanentError
from casebridge.messaging.outbox.effect import EffectChannel
from casebridge.messaging.outbox.pending_effects import Effect, PendingEffects, PendingEffectStore
from casebridge.messaging.queue.message import UNKNOWN
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)

GROUP: Final = 100
AT_ONCE: Final = 20
"""Messages whose effects are read at once. Each may contain a record of Kafka."""
ALERTS_AT_ONCE: Final = 5
ALERT_MESSAGE: Final = "alert_message"
"""The kind that observers get for a folded alert that is sent. (The effect `alert` only puts an alert into the outbox.)"""
FAR_ONES_SECONDS: Final = 60.0
"""How often due times are corrected that are so far ahead that the effect or alert would never be delivered."""
DEFECTS: Final = 3
"""After so many defects of a channel on one effect, the effect is set aside."""


class Relay:
    """Several relays may run. Each holds what it works on for `hold`. It tries a channel that was away again after `retry`."""

    def __init__(
        self,
        store: PendingEffectStore,
        channels: Mapping[str, EffectChannel],
        alerts: AlertOutbox,
        blacklist: Blacklist,
        alert_channel: AlertChannel | None,
        clock: Clock,
        give_up: timedelta,
        *,
        hold: timedelta,
        retry: timedelta,
    ) -> None:
        """`channels` deliver effects by kind. An effect of an unknown kind waits for a version that knows it."""
        self._store = store
        self._channels = channels
        self._alerts = alerts
        self._blacklist = blacklist
        self._alert_channel = alert_channel
        self._clock = clock
        self._give_up = give_up
        self._hold = hold
        self._retry = retry
        self._delivered: set[str] = set()
        """Ids of effects that are delivered but not removed, because the database was away."""
        self._defects: Counter[str] = Counter()
        self._away_until: dict[str, float] = {}
        self._far_ones_at = float("-inf")
        self._sent: dict[str, tuple[str, Document]] = {}
        """Alerts that are sent or muted but not settled, because the database was away: their state, and what was sent."""

    def deliver_left_behind(self) -> int:
        """Deliver effects that other processes left, or that a channel could not take. Returns how many messages had some."""
        found = 0
        self._make_far_ones_due()
        while found < GROUP:
            batch = self._store.claim(AT_ONCE, self._hold)
            for pending in batch:
                self.deliver(pending)
            found += len(batch)
            if len(batch) < AT_ONCE:
                break
        return found

    def _make_far_ones_due(self) -> None:
        """Correct times that a person or another program stored. Only now and then, because it costs three writes."""
        if time.monotonic() - self._far_ones_at < FAR_ONES_SECONDS:
            return
        self._store.make_far_ones_due()
        self._alerts.make_far_ones_due()
        self._far_ones_at = time.monotonic()

    def deliver(self, pending: PendingEffects) -> None:
        """Deliver the effects of one message, and remove them before those of another message are delivered.

        So when a process dies, the effects of at most one message may be delivered twice. A process that was frozen for too long
        leaves the effects to the relay that holds them by now. Raises the driver's errors while the database is away.
        """
        if not pending.is_held:
            return
        try:
            self._deliver(pending)
        except BaseException as error:
            if is_away(error):
                raise
            log_defect(error)  # its effects stay pending; those of other messages must not wait for them

    def _deliver(self, pending: PendingEffects) -> None:
        undeliverable: list[Effect] = []
        still_pending: set[str] = set()
        for effect in pending.effects:
            try:
                if not self._is_settled(pending, effect):
                    still_pending.add(effect["id"])
            except PermanentError as error:
                self._alert_undeliverable(pending, effect, error)
                undeliverable.append(effect)
        crash_point("effect_delivered")
        self._store.acknowledge(pending, frozenset(still_pending), self._clock.now() + self._retry, undeliverable)
        self._delivered.difference_update(effect["id"] for effect in pending.effects)

    def _is_settled(self, pending: PendingEffects, effect: Effect) -> bool:
        """Deliver one effect, unless this process has delivered it before and could not remove it.

        Returns whether it is pending no longer. Raises `PermanentError` if it can never be delivered.
        """
        if effect["id"] in self._delivered:
            return True
        kind = effect["kind"]
        if time.monotonic() < self._away_until.get(kind, 0.0):
            return self._given_up(pending, effect)
        channel = self._channels.get(kind)
        observation = observer().delivery(kind, pending.institution, pending.queue, pending.correlation_id)
        try:
            left = channel.deliver([effect]) if channel else {effect["id"]: "casebridge.no_channel"}
        except PermanentError as error:
            observation.ended(error.code)
            raise
        except CaseError as error:
            left = {effect["id"]: error.code}
        except BaseException as error:
            observation.ended(type(error).__name__)
            if is_away(error):
                raise
            return self._count_defect(effect, error)
        observation.ended(left.get(effect["id"]))
        self._defects.pop(effect["id"], None)
        if not left:
            self._delivered.add(effect["id"])
            return True
        # An effect may have arrived although no answer came. For a while no other effect is put at this risk.
        self._away_until[kind] = time.monotonic() + self._retry.total_seconds()
        logger.info("case %s: %s not delivered: %s", safe_id(pending.correlation_id), kind, left[effect["id"]])
        return self._given_up(pending, effect)

    def _count_defect(self, effect: Effect, error: BaseException) -> bool:
        """Count a defect of the channel on this effect. Raises `PermanentError` at the last of `DEFECTS`."""
        log_defect(error)
        self._defects[effect["id"]] += 1
        if self._defects[effect["id"]] < DEFECTS:
            return False
        del self._defects[effect["id"]]
        raise PermanentError(
            "casebridge.effect_undeliverable",
            f"An effect for the outside ({effect['kind']}) cannot be delivered: {type(error).__name__}.",
            "Report it with the case id: it stands in the message's field undelivered, and the case itself goes on.",
        )

    def _alert_undeliverable(self, pending: PendingEffects, effect: Effect, error: PermanentError) -> None:
        """Log an effect that can never be delivered, and enqueue an alert, before the effect is removed."""
        logger.warning("case %s: %s is set aside: %s", safe_id(pending.correlation_id), effect["kind"], error.code)
        self._alerts.enqueue(
            Alert.of(
                error,
                institution=pending.institution,
                org_id=pending.org_id,
                submodule=pending.queue,
                step="deliver_effect",
                cases={} if pending.correlation_id == UNKNOWN else {pending.correlation_id: ""},
            )
        )

    def _given_up(self, pending: PendingEffects, effect: Effect) -> bool:
        channel = self._channels.get(effect["kind"])
        return channel is not None and channel.may_be_given_up and self._clock.now() - pending.since > self._give_up

    def send_alerts(self) -> int:
        """Send the folded alerts that are due. Returns how many were sent."""
        if self._alert_channel is None:
            return 0
        self._make_far_ones_due()
        held_until = time.monotonic() + self._hold.total_seconds()
        due = self._alerts.claim(ALERTS_AT_ONCE, self._hold)
        rows = self._blacklist.rows() if due else []
        sent = 0
        for alert in due:
            if time.monotonic() > held_until:
                break  # another relay may have claimed the rest
            try:
                sent += self._send(alert, rows)
            except BaseException as error:
                if is_away(error):
                    raise
                log_defect(error)  # the other alerts must not wait for this one
                self._alerts.postpone(alert, self._retry)
        return sent

    def _send(self, alert: Document, rows: list[Document]) -> bool:
        """Send one alert, unless it is muted or was sent before. Returns whether it was sent now."""
        name = f"{alert['_id']} {alert.get('openedAt')}"
        sent = False
        if name not in self._sent:
            is_muted = muted_by(alert, rows, self._clock.now())
            try:
                if not is_muted and self._alert_channel is not None:
                    observation = observer().delivery(ALERT_MESSAGE, str(alert.get("institution")), UNKNOWN, None)
                    try:
                        self._alert_channel.send(alert_text(alert))
                    except BaseException as error:
                        observation.ended(error.code if isinstance(error, CaseError) else type(error).__name__)
                        raise
                    observation.ended()
                    sent = True
            except CaseError as error:
                logger.warning("alert for %s not sent: %s", alert.get("institution"), error.code)
                self._alerts.postpone(alert, error.retry_after or self._retry)
                return False
            self._sent[name] = ("muted" if is_muted else "sent"), alert
        state, as_sent = self._sent[name]
        self._alerts.settle({**as_sent, "relay": alert["relay"]}, state)
        del self._sent[name]
        return sent
