"""Records every HTTP call of our clients in order, and repeats the same calls without queue, audit and database.

A call is a method of one of our clients with its arguments. So the repeated calls take only the time of clients and network.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from casebridge.institutions.institution import Institution
from resources.fs.client import FsDigexClient
from resources.laas import LaasClient
from resources.wiring.clients import InstitutionClients
from resources.wiseflow.client import CreatedExplanation, WiseflowClient

METHODS: Final[dict[type, tuple[str, ...]]] = {
    FsDigexClient: ("changed_exams", "explanation_rows", "register_explanation"),
    WiseflowClient: (
        "search_sources",
        "search_sis_flows",
        "flow",
        "participants",
        "participant",
        "request_explanation",
        "explanations",
        "explanation",
        "show_explanation",
        "submission_comments",
    ),
    LaasClient: ("index",),
}
NAMES_A_REQUEST: Final = ("explanation", "show_explanation")
"""Methods whose second argument is the id of an explanation request. WISEflow gives a new id each time."""

Client = FsDigexClient | WiseflowClient | LaasClient
NOBODY: Final = ""
"""The owner of a client that belongs to no institution."""


@dataclass(frozen=True)
class Call:
    """One call, and the id of the explanation request that it made, if it made one."""

    institution: str
    client: type
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    made: int | None


class CallLog:
    """The calls of one process, in the order in which they were answered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._owners: dict[int, str] = {}
        self._lock = threading.Lock()

    def remember_owners(self, clients: InstitutionClients, institutions: list[Institution]) -> None:
        """Remember which client belongs to which institution."""
        for institution in institutions:
            for client in clients_of(clients, institution).values():
                self._owners[id(client)] = institution.key

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While the context is open, every call of the clients is recorded."""
        originals = [(kind, name, getattr(kind, name)) for kind, names in METHODS.items() for name in names]
        for kind, name, original in originals:
            setattr(kind, name, self._recorded(kind, name, original))
        try:
            yield
        finally:
            for kind, name, original in originals:
                setattr(kind, name, original)

    def _recorded(self, kind: type, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def recorded(client: Client, *arguments: Any, **options: Any) -> Any:
            result = original(client, *arguments, **options)
            made = result.explanation_request_id if isinstance(result, CreatedExplanation) else None
            with self._lock:
                self.calls.append(Call(self._owners.get(id(client), NOBODY), kind, name, arguments, options, made))
            return result

        return recorded

    def repeat(self, clients: InstitutionClients, institutions: list[Institution], laas: LaasClient) -> None:
        """Make the same calls in the same order, one at a time."""
        by_owner: dict[str, dict[type, Client]] = {one.key: clients_of(clients, one) for one in institutions}
        by_owner[NOBODY] = {LaasClient: laas}
        ids: dict[int, int] = {}
        for call in self.calls:
            arguments = call.arguments
            if call.method in NAMES_A_REQUEST:
                arguments = (arguments[0], ids[arguments[1]], *arguments[2:])
            result = getattr(by_owner[call.institution][call.client], call.method)(*arguments, **call.options)
            if call.made is not None:
                ids[call.made] = result.explanation_request_id


def clients_of(clients: InstitutionClients, institution: Institution) -> dict[type, Client]:
    return {
        FsDigexClient: clients.student_registry(institution),
        WiseflowClient: clients.exam_system(institution).client,
    }
