"""Delivers what settled messages owe, kind by kind, and the folded alerts.

An effect is struck out only after it was delivered, so a crash may deliver it again with the same id, and never loses it. A
channel that is away costs nothing but the wait of its own effects.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from casebridge.alerts.blacklist import Blacklist, muted_by
from casebridge.alerts.channel import AlertChannel, alert_text
from casebridge.alerts.outbox import AlertOutbox
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.errors import CaseError
from casebridge.messaging.effects import EffectChannel
from casebridge.messaging.owed_effects import Debt, Effect, OwedEffects

logger = logging.getLogger(__name__)

GROUP: Final = 100
ALERTS_AT_ONCE: Final = 5


class Relay:
    """Several may run; each holds what it works on for `hold`, and tries a channel that was away again after `retry`."""

    def __init__(
        self,
        owed: OwedEffects,
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
        """`channels` deliver effects by kind; one of an unknown kind waits for a version that knows it."""
        self._owed = owed
        self._channels = channels
        self._alerts = alerts
        self._blacklist = blacklist
        self._alert_channel = alert_channel
        self._clock = clock
        self._give_up = give_up
        self._hold = hold
        self._retry = retry

    def deliver_left_behind(self) -> int:
        """Deliver what other processes left, or what a channel could not take; return how many messages owed something."""
        debts = self._owed.claim(GROUP, self._hold)
        self.deliver(debts)
        return len(debts)

    def deliver(self, debts: Sequence[Debt]) -> None:
        """Deliver what these messages owe, and strike it out."""
        if not debts:
            return
        failed = self._deliver_by_kind(debts)
        left = {
            debt.key: frozenset(
                effect["id"] for effect in debt.effects if effect["id"] in failed and not self._given_up(debt, effect)
            )
            for debt in debts
        }
        crash_point("effect_delivered")
        self._owed.delivered(debts, left, self._clock.now() + self._retry)

    def _deliver_by_kind(self, debts: Sequence[Debt]) -> set[str]:
        """Hand each kind to its channel in one go; return the ids of what could not be delivered."""
        by_kind: defaultdict[str, list[Effect]] = defaultdict(list)
        cases: dict[str, str] = {}
        for debt in debts:
            for effect in debt.effects:
                by_kind[effect["kind"]].append(effect)
                cases[effect["id"]] = debt.correlation_id
        failed: set[str] = set()
        for kind, effects in by_kind.items():
            channel = self._channels.get(kind)
            codes = (
                channel.deliver(effects) if channel else {effect["id"]: "casebridge.no_channel" for effect in effects}
            )
            for effect_id, code in codes.items():
                logger.info("case %s: %s not delivered: %s", cases[effect_id], kind, code)
            failed |= codes.keys()
        return failed

    def _given_up(self, debt: Debt, effect: Effect) -> bool:
        channel = self._channels.get(effect["kind"])
        return channel is not None and channel.may_be_given_up and self._clock.now() - debt.since > self._give_up

    def send_alerts(self) -> int:
        """Send the folded alerts that are due; return how many people were told."""
        if self._alert_channel is None:
            return 0
        due = self._alerts.claim(ALERTS_AT_ONCE, self._hold)
        rows = self._blacklist.rows() if due else []
        sent = 0
        for alert in due:
            if muted_by(alert, rows, self._clock.now()):
                self._alerts.settle(alert, "muted")
                continue
            try:
                self._alert_channel.send(alert_text(alert))
            except CaseError as error:
                logger.warning("alert for %s not sent: %s", alert["institution"], error.code)
                self._alerts.postpone(alert, error.retry_after or self._retry)
                continue
            self._alerts.settle(alert, "sent")
            sent += 1
        return sent
