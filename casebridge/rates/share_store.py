"""Stores the claims on each budget: one document for each budget in `oai.rateShares`.

All claims on a budget are in one document. Only a process that has read its newest version can replace it. So the sum is checked
and written in one atomic update. A write may be applied twice, and its answer may be lost, without harm.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import UpdateOne

from casebridge.database import Database, Document, insert_absent
from casebridge.rates.division import WHOLE, Claim

LARGEST_VERSION: Final = 2**62


@dataclass(frozen=True)
class ClaimSet:
    """The claims on one budget as they were read."""

    version: int
    claims: tuple[Claim, ...]
    stored_version: Any = None
    """The filter for the stored version if it is not a number. Then `version` is 0."""


class ShareStore:
    """Thread-safe. The key of a budget does not show whose it is."""

    def __init__(self, database: Database) -> None:
        self._shares = database.rate_shares

    def read(self, keys: Collection[str]) -> dict[str, ClaimSet]:
        """The claims on each budget. A document that is absent is created."""
        claim_sets = self._find(keys)
        if absent := [key for key in keys if key not in claim_sets]:
            insert_absent(self._shares, [{"_id": key, "version": 0, "claims": []} for key in absent])
            claim_sets.update(self._find(absent))
        return claim_sets

    def write(self, claim_sets: Mapping[str, ClaimSet], claims: Mapping[str, Sequence[Claim]]) -> set[str]:
        """Replace the claims on budgets that are unchanged since they were read. Returns the keys of those that were replaced."""
        if not claims:
            return set()
        writer = uuid.uuid4().hex
        self._shares.bulk_write(
            [
                UpdateOne(
                    {"_id": key, "version": _as_stored(claim_sets[key])},
                    {
                        "$set": {
                            "version": claim_sets[key].version + 1,
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

    def _find(self, keys: Collection[str]) -> dict[str, ClaimSet]:
        return {document["_id"]: _claim_set(document) for document in self._shares.find({"_id": {"$in": list(keys)}})}


def _claim_set(document: Document) -> ClaimSet:
    """The claims in a stored document. Never raises, because then nobody could call. Unreadable claims are left out."""
    rows = document.get("claims")
    claims = tuple(claim for row in (rows if isinstance(rows, list) else ()) if (claim := _claim(row)) is not None)
    version = document.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and 0 <= version < LARGEST_VERSION:
        return ClaimSet(version, claims)
    return ClaimSet(0, claims, {"$eq": version})


def _as_stored(claim_set: ClaimSet) -> Any:
    return claim_set.version if claim_set.stored_version is None else claim_set.stored_version


def _claim(row: object) -> Claim | None:
    if not isinstance(row, dict):
        return None
    holder, parts, wants_more, revision = (row.get(name) for name in ("holder", "parts", "wantsMore", "word"))
    if not isinstance(parts, int) or isinstance(parts, bool) or not 0 <= parts <= WHOLE:
        return None
    if not (type(holder) is str and isinstance(wants_more, bool) and type(revision) is str):
        return None
    return Claim(holder, parts, wants_more, revision)


def _document(claim: Claim) -> Document:
    return {"holder": claim.holder, "parts": claim.parts, "wantsMore": claim.wants_more, "word": claim.revision}
