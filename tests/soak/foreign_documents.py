"""Documents in `oai.meldingQ` that no release of casebridge wrote, but another source system, a tool or a person.

Each must be handled, or set aside and reported. None may stop the others. They belong to no request in FS, so the counts know
them by their keys only.
"""

from datetime import UTC, datetime
from typing import Any, Final

from casebridge.database import Database, insert_absent

CONTRACT_11: Final = "of-contract-11"


def odd_documents(institution: str) -> list[dict[str, Any]]:
    """For an institution that has other messages, so that these stand among them."""
    now = datetime.now(UTC)
    org_id, env = institution.split("/")
    whole: dict[str, Any] = {
        "queue": "wiseflow-begrunnelse", "status": "enqueued", "orgId": org_id, "env": env, "institution": institution,
        "examSystem": "WISEFLOW", "payload": {}, "enqueuedAt": now, "dueAt": now, "attempts": 0, "fence": 0,
        "generation": 1, "steps": {}, "errors": [], "effects": [],
    }  # fmt: skip
    named = {
        "attempts-null": {**whole, "attempts": None},
        "steps-null": {**whole, "steps": None, "errors": None},
        "of-another-form": {**whole, "payload": [1, 2]},
        "few-fields-and-enqueued": {"status": "enqueued", "enqueuedAt": now},
        "few-fields-and-dead": {"status": "dead"},
        # the source system's own form (contract 11): no institution, no dueAt
        CONTRACT_11: {
            "queue": "wiseflow-begrunnelse", "status": "enqueued", "attempts": 0, "payload": {}, "enqueuedAt": now,
            "processingAt": None, "finishedAt": None, "error": None,
        },
    }  # fmt: skip
    with_few_fields = {"few-fields-and-enqueued", "few-fields-and-dead"}
    return [
        {
            "_id": key,
            **({} if key in with_few_fields else {"orderingKey": key, "correlationId": f"odd-{key}"}),
            **document,
        }
        for key, document in named.items()
    ]


def insert_odd_documents(database: Database, institution: str) -> list[str]:
    """Insert the documents once; return their keys."""
    documents = odd_documents(institution)
    del next(one for one in documents if one["_id"] == CONTRACT_11)["orderingKey"]
    insert_absent(database.messages, documents)
    return [one["_id"] for one in documents]
