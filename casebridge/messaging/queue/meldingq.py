"""MeldingQ: every change of a message's state, each one atomic write of one document, in batches where many change.

The queue is the sum of its parts; nothing is forwarded from one to another:

- `inbox`: accept;
- `claims`: claim, keep, release;
- `settlements`: record steps, finish, fail;
- `interventions`: replay, discard;
- here: what others ask about cases and keys.

Every write after a claim names the fence that the claim raised, so a worker that lost its lease cannot overwrite. Each change
filters on the state that it expects (`transitions`) and is right when applied twice.

Decided elsewhere: what a message means, which steps it takes and which effects follow (`flow`, `listener`), and which lane is
served next (`listener.lane_scheduler`). Pending effects are delivered by `outbox.relay`.
"""

from collections.abc import Iterable, Sequence

from casebridge.database import Document
from casebridge.messaging.queue.claims import Claims
from casebridge.messaging.queue.inbox import Inbox
from casebridge.messaging.queue.interventions import Interventions
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus, is_text, status_of
from casebridge.messaging.queue.settlements import Settlements


class MeldingQ(Inbox, Claims, Settlements, Interventions):
    """The queue. Thread-safe; holds no state but the collections and the clock."""

    def at_work(self, ordering_keys: Sequence[str]) -> set[str]:
        """Those of these cases of which a message waits or is in work."""
        unfinished = {"$in": [status.value for status in UNFINISHED]}
        where = {"orderingKey": {"$in": list(ordering_keys)}, "status": unfinished}
        keys = (document["orderingKey"] for document in self._messages.find(where, {"orderingKey": 1}))
        return {key for key in keys if is_text(key)}  # a list that holds one is found, too

    def statuses_of(self, ordering_key: str, queue: str) -> frozenset[MessageStatus]:
        """The statuses of a case's live messages of this queue."""
        found = self._messages.find({"orderingKey": ordering_key}, {"queue": 1, "status": 1})
        return frozenset(
            status for one in found if one.get("queue") == queue and (status := status_of(one)) is not None
        )

    def settled(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that were received and whose message neither waits, nor is in work, nor is dead."""
        known = self._known(set(keys))
        open_statuses = {status.value for status in (*UNFINISHED, MessageStatus.DEAD)}
        found = self._messages.find({"_id": {"$in": list(known)}}, {"status": 1}) if known else ()
        return known - {document["_id"] for document in found if document.get("status") in open_statuses}

    def find(self, selection: Document, limit: int, fields: Document | None = None) -> list[Document]:
        """Live messages, oldest first: for operators, not for workers. `fields` is the driver's projection."""
        return list(self._messages.find(selection, fields).sort("enqueuedAt", 1).limit(limit))
