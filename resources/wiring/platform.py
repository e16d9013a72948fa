"""What a capability is built from: the settings, the stores, the clients of the outside, and the shared poll."""

from dataclasses import dataclass

from casebridge.exams.ports import Clients
from casebridge.settings import Settings
from casebridge.sources.credential_probes import CredentialProbes
from casebridge.sources.polling import Polling
from resources.wiring.stores import Stores


@dataclass(frozen=True)
class Platform:
    """One process's platform. A capability takes from it what it needs and hands that on piece by piece."""

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
