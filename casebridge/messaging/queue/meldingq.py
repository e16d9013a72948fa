"""MeldingQ: every change of a message's status. Each change is one atomic write of one document; many are sent as a batch.

The queue inherits from its parts:

- `inbox`: accept.
- `claims`: claim, keep, release.
- `settlements`: record steps, finish, fail.
- `interventions`: replay, discard.
- Here: questions about cases and keys.

Two rules hold for the writes:

- Every write after a claim filters on the fence that the claim raised. So a worker that lost its lease cannot overwrite anything.
- Each change filters on the status that it expects (`transitions`), and may be applied twice.

`flow` and `listener` decide what a message means, which steps it takes and which effects follow. `listener.lane_scheduler`
decides which lane is served next. `outbox.relay` delivers pending effects.
"""

from collections.abc import Iterable, Sequence

from casebridge.database import Document
from casebridge.messaging.queue.claims import Claims
from casebridge.messaging.queue.inbox import Inbox
from casebridge.messaging.queue.interventions import Interventions
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus, is_text, status_of
from casebridge.messaging.queue.settlements import Settlements


class MeldingQ(Inbox, Claims, Settlements, Interventions):
    """The queue. Thread-safe."""

    def at_work(self, ordering_keys: Sequence[str]) -> set[str]:
        """The cases of `ordering_keys` that have a message that waits or is in work."""
        unfinished = {"$in": [status.value for status in UNFINISHED]}
        where = {"orderingKey": {"$in": list(ordering_keys)}, "status": unfinished}
        keys = (document["orderingKey"] for document in self._messages.find(where, {"orderingKey": 1}))
        return {key for key in keys if is_text(key)}  # the query also finds lists that contain a key

    def statuses_of(self, ordering_key: str, queue: str) -> frozenset[MessageStatus]:
        """The statuses of a case's live messages of this queue."""
        found = self._messages.find({"orderingKey": ordering_key}, {"queue": 1, "status": 1})
        return frozenset(
            status for one in found if one.get("queue") == queue and (status := status_of(one)) is not None
        )

    def settled(self, keys: Iterable[str]) -> set[str]:
        """The keys that were received and whose message neither waits, nor is in work, nor is dead."""
        known = self._known(set(keys))
        open_statuses = {status.value for status in (*UNFINISHED, MessageStatus.DEAD)}
        found = self._messages.find({"_id": {"$in": list(known)}}, {"status": 1}) if known else ()
        return known - {document["_id"] for document in found if document.get("status") in open_statuses}

    def find(self, selection: Document, limit: int, fields: Document | None = None) -> list[Document]:
        """Live messages, oldest first. For operators, not for workers. `fields` is the driver's projection."""
        return list(self._messages.find(selection, fields).sort("enqueuedAt", 1).limit(limit))
