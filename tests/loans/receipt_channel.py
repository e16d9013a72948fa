"""Delivers receipts of reminders to the library's system."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.collection import Collection

from casebridge.database import Document


class ReceiptChannel:
    """Stores each receipt under the id of its effect. So a receipt that is delivered twice is stored once."""

    may_be_given_up = False

    def __init__(self, receipts: Collection[Document]) -> None:
        self._receipts = receipts

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        for effect in effects:
            self._receipts.replace_one({"_id": effect["id"]}, dict(effect["body"]), upsert=True)
        return {}
