"""The documents of the queue that expire: processed messages, and keys of received messages."""

from collections.abc import Callable, Iterable

from casebridge.database import Database, Document, identity_of
from casebridge.expiring import ExpiringDocuments, identities
from casebridge.messaging.queue.message import is_text


def processed_messages(database: Database) -> ExpiringDocuments:
    """Processed messages. Those that still have pending effects stay, however long the channel has been away."""

    def undelivered(messages: list[Document]) -> set[bytes]:
        ids = [message["_id"] for message in messages]
        found = database.processed_messages.find({"_id": {"$in": ids}}, {"effectsDueAt": 1})
        return identities([message for message in found if "effectsDueAt" in message])

    return ExpiringDocuments("processed_messages", database.processed_messages, "finishedAt", undelivered)


def received_keys(database: Database, keeping: Callable[[Iterable[str]], set[str]]) -> ExpiringDocuments:
    """Keys of received messages. Two kinds stay.

    - Keys whose message is still stored.
    - Keys of cases whose source may send them again at any age: `keeping` returns those of the given correlation ids.
    """

    def needed(keys: list[Document]) -> set[bytes]:
        ids = [key["_id"] for key in keys]
        stored = {
            identity_of(message["_id"])
            for collection in (database.messages, database.processed_messages)
            for message in collection.find({"_id": {"$in": ids}}, {"_id": 1})
        }
        stay = keeping({name for key in keys if is_text(name := key.get("correlationId"))})
        return stored | identities([key for key in keys if is_text(name := key.get("correlationId")) and name in stay])

    return ExpiringDocuments("received_keys", database.received_keys, "firstSeen", needed)
