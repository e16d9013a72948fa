"""What a capability is built from: settings, stores, clients of outside systems, and what all polls share."""

from dataclasses import dataclass

from casebridge.exams.ports import Clients
from casebridge.settings import Settings
from casebridge.sources.credential_probes import CredentialProbes
from casebridge.sources.polling import Polling
from resources.wiring.stores import Stores


@dataclass(frozen=True)
class Platform:
    """The platform of one process. A capability passes single parts of it to its flows and sources, never the whole."""

    settings: Settings
    stores: Stores
    clients: Clients
    probes: CredentialProbes
    polling: Polling

    @classmethod
    def of(cls, settings: Settings, stores: Stores, clients: Clients) -> "Platform":
        probes = CredentialProbes(stores.pauses, stores.institutions, clients)
        polling = Polling(stores.audit, stores.alerts, stores.pauses, probes, stores.clock)
        return cls(settings, stores, clients, probes, polling)
