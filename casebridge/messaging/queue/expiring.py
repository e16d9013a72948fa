"""What of the queue expires: messages that are processed, and keys of messages that were received."""

from collections.abc import Callable, Iterable

from casebridge.database import Database, Document, identity_of
from casebridge.expiring import ExpiringDocuments, identities
from casebridge.messaging.queue.message import is_text


def processed_messages(database: Database) -> ExpiringDocuments:
    """All but those that still owe an effect, however long the channel has been away."""

    def owing(messages: list[Document]) -> set[bytes]:
        ids = [message["_id"] for message in messages]
        found = database.processed_messages.find({"_id": {"$in": ids}}, {"effectsDueAt": 1})
        return identities([message for message in found if "effectsDueAt" in message])

    return ExpiringDocuments("processed_messages", database.processed_messages, "finishedAt", owing)


def received_keys(database: Database, keeping: Callable[[Iterable[str]], set[str]]) -> ExpiringDocuments:
    """All but those whose message is still there, and those of cases whose source may send them again at any age.

    `keeping` is asked for the latter: of these correlation ids, those whose keys must stay.
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
