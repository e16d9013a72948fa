"""Cases and messages with misspelt institution names, from before storage versions. Migration 1 corrects them."""

from typing import Any

from casebridge.database import Database

MISSPELT: dict[str, Any] = {"orgId": "UiS.no", "env": "Test ", "examSystem": "WISEFLOW", "institution": "UiS.no/Test "}
RIGHT: dict[str, Any] = {"orgId": "uis.no", "env": "test", "examSystem": "WISEFLOW", "institution": "uis.no/test"}


def insert_misspelt(database: Database, cases: int, processed: int = 1) -> int:
    """Insert misspelt documents. Returns how many."""
    database.cases.insert_many(
        [{"_id": f"c-{number}", "correlationId": f"c-{number}", **MISSPELT} for number in range(cases)]
    )
    database.processed_messages.insert_many([{"_id": f"m-{number}", **MISSPELT} for number in range(processed)])
    return cases + processed


def count(database: Database, names: dict[str, Any]) -> int:
    return sum(each.count_documents(names) for each in (database.cases, database.processed_messages))
