"""One process of casebridge: stores, clients, capabilities, and what runs them. It imports no Dagster, which takes 100 MB.

The listener, the command line and Dagster's resource all build this and nothing else. Each part can be replaced when it is
built: tests hand in a clock, clients or capabilities of their own.
"""

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from casebridge.capability import Capability, all_queues
from casebridge.clock import Clock
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import Worker
from casebridge.messaging.outbox.relay import Relay
from casebridge.operators import retention
from casebridge.operators.synchronisation import Synchronisation
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from casebridge.storage.migrations import MIGRATIONS
from casebridge.storage.processes import owner_of_version
from casebridge.storage.storage import Storage
from resources.wiring.capabilities import Builder, builders, chosen
from resources.wiring.channels import Channels
from resources.wiring.clients import InstitutionClients
from resources.wiring.kafka import Kafka
from resources.wiring.operators import Operators
from resources.wiring.platform import Platform
from resources.wiring.stores import Stores

Kind = TypeVar("Kind", bound=Capability)


class Process:
    """Everything that one process of casebridge needs. Building it connects to nothing; close it when done."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets | None = None,
        clock: Clock | None = None,
        *,
        clients: InstitutionClients | None = None,
        capabilities: Sequence[Builder] | None = None,
    ) -> None:
        submodules: set[str] = {retention.SUBMODULE}
        self.settings = settings
        self.stores = Stores(settings, submodules, clock)
        self.clients = clients or InstitutionClients(settings, secrets or Secrets(), self.stores.rate_shares)
        self.platform = Platform.of(settings, self.stores, self.clients)
        built = [build(self.platform) for build in capabilities or builders(chosen(settings))]
        self.kafka = Kafka(settings.kafka, self.stores.queue, built)
        self.channels = Channels(settings, self.stores)
        self.capabilities: tuple[Capability, ...] = (*built, self.kafka.capability(), self.channels.capability())
        migrations = (step for capability in self.capabilities for step in capability.migrations)
        self.storage = Storage(self.stores.database, self.stores.clock, (*MIGRATIONS, *migrations))
        self.queues = all_queues(self.capabilities)
        submodules.update(*(capability.all_submodules for capability in self.capabilities))
        self.flows = {name: queue.flow for name, queue in self.queues.items()}
        self.worker = Worker(self.stores.queue, self.flows, self.stores.clock, settings.queue.maximum_attempts)
        self.settler = self._settler()
        self.relay = self._relay()
        self.operators = Operators(settings, self.stores, self.capabilities)
        self.synchronisation = Synchronisation(self.listener)

    def capability(self, kind: type[Kind]) -> Kind:
        """The capability of this class. Raises `RuntimeError` if CASEBRIDGE_CAPABILITIES leaves it out."""
        for capability in self.capabilities:
            if isinstance(capability, kind):
                return capability
        raise RuntimeError(f"this process has no {kind.__name__}: see CASEBRIDGE_CAPABILITIES")

    def listener(self, queues: Sequence[str] = ()) -> Listener:
        """A listener of this process, for all queues or for these. It may run until it is stopped, or until nothing is due.

        - With CASEBRIDGE_CAPABILITIES, it leaves the messages of other capabilities to other processes.
        - Without it, a message of a queue that no capability declares is set aside, so that a person sees it.
        """
        limited = tuple(queues) or (tuple(self.queues) if self.settings.capabilities else ())
        return Listener(
            self.stores.queue,
            LaneScheduler(self.stores.queue, self.stores.clock, limited),
            self.worker,
            self.settler,
            self.relay,
            self.stores.pauses,
            self.settings.queue,
            self.platform.probes.run_due,
            owner_of_version(self.storage.version.supported),
        )

    def ensure_indexes(self) -> None:
        """Create what is missing in the collections of the platform and of each capability."""
        for cases in self.operators.cases:
            cases.ensure_indexes()
        self.stores.database.ensure_indexes(
            (named.collection, named.indexes) for capability in self.capabilities for named in capability.collections
        )

    def register_listener(self, listener: Listener) -> None:
        """Note in the database that this listener runs, for operators and sensors."""
        self.stores.database.listeners.update_one(
            {"_id": listener.owner},
            {
                "$set": {
                    "seenAt": self.stores.clock.now(),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "environment": self.stores.served.env,
                    **self.storage.entry(),
                }
            },
            upsert=True,
        )

    def unregister_listener(self, listener: Listener) -> None:
        self.stores.database.listeners.delete_one({"_id": listener.owner})

    def close(self) -> None:
        self.channels.close()
        self.kafka.close()
        self.clients.close()
        self.stores.close()

    def _settler(self) -> Settler:
        stores, settings = self.stores, self.settings
        return Settler(
            stores.queue,
            stores.audit,
            stores.alerts,
            stores.pauses,
            RetryPolicy(settings.queue),
            [announcer for capability in self.capabilities for announcer in capability.announcers],
            stores.clock,
            settings.lease,
        )

    def _relay(self) -> Relay:
        stores, settings = self.stores, self.settings
        return Relay(
            stores.pending_effects,
            {kind: channel for capability in self.capabilities for kind, channel in capability.channels.items()},
            stores.alerts,
            stores.blacklist,
            self.channels.people,
            stores.clock,
            timedelta(days=settings.laas.give_up_days),
            hold=settings.lease,
            retry=timedelta(seconds=settings.queue.retry_base_seconds),
        )
