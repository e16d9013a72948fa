"""The clients of one process: it implements the port `Clients` with one client for each institution and system.

- A client is built when it is first needed. It is kept, with its connections, tokens and caches. Building it connects to nothing.
- The limits of vendors and settings are applied here, because only this object knows all clients.
"""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from casebridge.errors import PermanentError
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution, WiseflowAccess
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from resources.fs import client as fs_digex
from resources.fs.client import FsDigexClient
from resources.http.call_limit import CallLimit
from resources.http.client import HttpClient
from resources.http.rate_limit import RateLimit
from resources.wiseflow import places as wiseflow
from resources.wiseflow.client import WiseflowClient
from resources.wiseflow.exam_system import WiseflowExamSystem
from resources.wiseflow.records import EvidenceNames

WISEFLOW: Final = "WISEFLOW"
"""The exam system's code in FS and in `oai.KlageBegrunnelseEnvs`."""
EXAM_SYSTEMS: Final = frozenset({WISEFLOW})
"""The exam systems that casebridge can work with."""

Client = TypeVar("Client", FsDigexClient, WiseflowExamSystem)


class InstitutionClients:
    """The clients of all institutions. Thread-safe. Close it when the process ends.

    Leave `keeper` out only if no other process has the same credentials.
    """

    def __init__(self, settings: Settings, secrets: Secrets, keeper: ShareKeeper | None = None) -> None:
        self._settings = settings
        self._secrets = secrets
        self._keeper = keeper
        self._lock = threading.Lock()
        self._registries: dict[str, tuple[Institution, FsDigexClient]] = {}
        self._exam_systems: dict[str, tuple[Institution, WiseflowExamSystem]] = {}
        self._limits_by_institution: dict[tuple[str, str], CallLimit] = {}
        self._rate_limits: dict[tuple[str, str], RateLimit] = {}
        self._call_limits = {
            system: CallLimit(system, settings.http.calls_per_system) for system in (fs_digex.SYSTEM, wiseflow.SYSTEM)
        }
        self.all_calls = CallLimit(None, settings.http.calls_per_process)
        """The limit of simultaneous calls of all clients together."""

    def student_registry(self, institution: Institution) -> FsDigexClient:
        """FS for the institution."""
        return self._kept(self._registries, institution, self._new_registry)

    def exam_system(self, institution: Institution) -> WiseflowExamSystem:
        """The institution's exam system. Raises `PermanentError` if its configuration names none that is in `EXAM_SYSTEMS`."""
        return self._kept(self._exam_systems, institution, self._new_exam_system)

    def call_counts(self) -> dict[str, dict[str, int]]:
        """The `HttpClient.call_counts` of each client. A key names the tenant and the called system."""
        with self._lock:
            clients = [(key, client.http) for key, (_, client) in self._registries.items()]
            clients += [(key, system.client.http) for key, (_, system) in self._exam_systems.items()]
        return {f"{key} {http.system}": http.call_counts() for key, http in clients}

    def close(self) -> None:
        """Wake threads that wait for a rate, give up leased shares, and close all idle connections."""
        with self._lock:
            for rate_limit in self._rate_limits.values():
                rate_limit.close()
            for _, registry in self._registries.values():
                registry.close()
            for _, exam_system in self._exam_systems.values():
                exam_system.close()
        if self._keeper is not None:
            self._keeper.close()

    def _kept(
        self,
        clients: dict[str, tuple[Institution, Client]],
        institution: Institution,
        build: Callable[[Institution], Client],
    ) -> Client:
        """The institution's client. If its configuration has changed, a new client."""
        with self._lock:
            built_for, client = clients.get(institution.tenant, (None, None))
            if client is not None and built_for == institution:
                return client
            new = build(institution)
            clients[institution.tenant] = (institution, new)
        if client is not None:
            # Calls in progress keep their connections; only idle ones are closed.
            client.close()
        return new

    def _new_registry(self, institution: Institution) -> FsDigexClient:
        http = HttpClient(
            fs_digex.SYSTEM,
            institution.fs.base_url,
            self._settings.http,
            call_limits=self._limits_of_calls(institution, fs_digex.SYSTEM),
            institution=institution.key,
        )
        return FsDigexClient(institution, self._secrets, self._settings.fs, self._settings.http, http)

    def _new_exam_system(self, institution: Institution) -> WiseflowExamSystem:
        access = institution.wiseflow
        if institution.exam_system != WISEFLOW or access is None:
            raise PermanentError(
                "exam_system.not_configured",
                f"{institution.tenant}: its configuration names no exam system that casebridge can carry.",
                "Set examSystem in oai.KlageBegrunnelseEnvs and wiseflow in configDB.orgs, then replay the message.",
            )
        settings = self._settings.wiseflow
        http = HttpClient(
            wiseflow.SYSTEM,
            access.base_url,
            self._settings.http,
            headers={"X-Client-Name": settings.client_name},
            rate_limit=self._rate_limit(access),
            call_limits=self._limits_of_calls(institution, wiseflow.SYSTEM),
            institution=institution.key,
        )
        client = WiseflowClient(access, self._secrets, settings, http)
        names = EvidenceNames.of(settings.user_name_ids, settings.person_number_ids)
        return WiseflowExamSystem(access, client, ask_with_due_date=settings.ask_with_due_date, evidence_names=names)

    def _rate_limit(self, access: WiseflowAccess) -> RateLimit:
        """The limit of a credential. Institutions with the same credential share it, because the vendor counts by credential."""
        key = (access.base_url, access.credential_ref)
        if key not in self._rate_limits:
            settings = self._settings.wiseflow
            rates = [(settings.requests_per_second, 1.0), (settings.requests_per_minute, 60.0)]
            share = self._keeper.share(short_hash(wiseflow.SYSTEM, *key)) if self._keeper else None
            self._rate_limits[key] = RateLimit(wiseflow.SYSTEM, rates, share=share)
        return self._rate_limits[key]

    def _limits_of_calls(self, institution: Institution, system: str) -> tuple[CallLimit, ...]:
        """The limits of an institution's calls to a system, the narrowest first.

        So a call that waits at a narrow limit uses nothing of the wider ones. The clients of all exam systems of an institution
        share the institution's own limit.
        """
        own = self._limits_by_institution.setdefault(
            (institution.key, system), CallLimit(system, self._settings.http.calls_per_institution)
        )
        return own, self._call_limits[system], self.all_calls
