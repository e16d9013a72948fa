"""The channels of the platform: alerts for people, and the log index."""

from casebridge.alerts.channel import AlertChannel
from casebridge.capability import Capability
from casebridge.messaging.outbox.channels import ALERT, LOG_INDEX, AlertEffects, LogIndexEffects
from casebridge.messaging.outbox.outcome_index import OutcomeIndex
from casebridge.settings import Settings
from resources.laas import LaasClient
from resources.slack import SlackChannel
from resources.wiring.stores import Stores


class Channels:
    """Slack and LaaS, if they are configured. Close it when done."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        slack, laas = settings.slack, settings.laas
        self._stores = stores
        self._slack = SlackChannel(slack) if slack.token or slack.webhook_url else None
        self._laas = LaasClient(laas, settings.http) if laas.url else None

    @property
    def people(self) -> AlertChannel | None:
        """The channel of the alerts. `None` if Slack is not configured: then no alerts are sent."""
        return self._slack

    def capability(self) -> Capability:
        """The declaration of the channels as a capability of the platform."""
        stores = self._stores
        return Capability(
            name="alerts",
            announcers=(OutcomeIndex(stores.clock),) if self._laas else (),
            channels={ALERT: AlertEffects(stores.alerts), LOG_INDEX: LogIndexEffects(self._laas, stores.names)},
        )

    def close(self) -> None:
        for client in (self._slack, self._laas):
            if client is not None:
                client.close()
