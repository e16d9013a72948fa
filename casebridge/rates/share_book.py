"""The claims on each budget, one document a budget in `oai.rateShares`.

All claims of a budget stand in one document, which is replaced only by whoever has read its newest version: so their sum is
checked and written in one atomic update. A write that is applied twice, or whose answer was lost, does no harm.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pymongo import UpdateOne

from casebridge.database import Database, Document, insert_absent
from casebridge.rates.division import Claim


@dataclass(frozen=True)
class Page:
    """The claims on one budget, as they were read."""

    version: int
    claims: tuple[Claim, ...]


class ShareBook:
    """Thread-safe. Budgets are named by a key that tells nothing of whose they are."""

    def __init__(self, database: Database) -> None:
        self._shares = database.rate_shares

    def read(self, keys: Collection[str]) -> dict[str, Page]:
        """The page of each key; one that was never written is begun."""
        pages = self._find(keys)
        if absent := [key for key in keys if key not in pages]:
            insert_absent(self._shares, [{"_id": key, "version": 0, "claims": []} for key in absent])
            pages.update(self._find(absent))
        return pages

    def write(self, pages: Mapping[str, Page], claims: Mapping[str, Sequence[Claim]]) -> set[str]:
        """Replace the claims of pages that are still as they were read; return the keys of those that were."""
        if not claims:
            return set()
        writer = uuid.uuid4().hex
        self._shares.bulk_write(
            [
                UpdateOne(
                    {"_id": key, "version": pages[key].version},
                    {
                        "$set": {
                            "version": pages[key].version + 1,
                            "writer": writer,
                            "claims": [_document(claim) for claim in its_claims],
                        }
                    },
                )
                for key, its_claims in claims.items()
            ],
            ordered=False,
        )
        written = self._shares.find({"_id": {"$in": list(claims)}, "writer": writer}, {"_id": 1})
        return {document["_id"] for document in written}

    def _find(self, keys: Collection[str]) -> dict[str, Page]:
        return {document["_id"]: _page(document) for document in self._shares.find({"_id": {"$in": list(keys)}})}


def _page(document: Document) -> Page:
    claims = (Claim(row["holder"], row["parts"], row["wantsMore"], row["word"]) for row in document["claims"])
    return Page(document["version"], tuple(claims))


def _document(claim: Claim) -> Document:
    return {"holder": claim.holder, "parts": claim.parts, "wantsMore": claim.wants_more, "word": claim.word}
