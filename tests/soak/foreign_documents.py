"""Documents in `oai.meldingQ` that no release of ours wrote: of another source system, of a tool, of a hand.

Each must be handled, or set aside in sight; none may hold up the others. They belong to nobody in FS, so the checks know them by
their keys only.
"""

from datetime import UTC, datetime
from typing import Any, Final

from casebridge.database import Database, insert_absent

CONTRACT_11: Final = "of-contract-11"


def foreign_documents(institution: str) -> list[dict[str, Any]]:
    """Of an institution that has messages of its own, so that they stand among its neighbours."""
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
        "poor-and-enqueued": {"status": "enqueued", "enqueuedAt": now},
        "poor-and-dead": {"status": "dead"},
        # the source system's own form (contract 11): no institution, no dueAt
        CONTRACT_11: {
            "queue": "wiseflow-begrunnelse", "status": "enqueued", "attempts": 0, "payload": {}, "enqueuedAt": now,
            "processingAt": None, "finishedAt": None, "error": None,
        },
    }  # fmt: skip
    poor = {"poor-and-enqueued", "poor-and-dead"}
    return [
        {"_id": key, **({} if key in poor else {"orderingKey": key, "correlationId": f"odd-{key}"}), **document}
        for key, document in named.items()
    ]


def plant(database: Database, institution: str) -> list[str]:
    """Put them into the queue, once; returns their keys."""
    documents = foreign_documents(institution)
    del next(one for one in documents if one["_id"] == CONTRACT_11)["orderingKey"]
    insert_absent(database.messages, documents)
    return [one["_id"] for one in documents]
