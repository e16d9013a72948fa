"""The index entries that a write changes, computed from the indexes and the document before and after."""

from typing import Any

import pytest

from bench.index_entries import EntryCounts, Index, entry_counts


def index(*fields: str, **options: Any) -> Index:
    return Index.from_listed({"name": "_".join(fields), "key": dict.fromkeys(fields, 1), **options})


ID = index("_id")
DUE = index("queue", "dueAt")
SPARSE = index("effectsDueAt", sparse=True)
CODES = index("errors.code", partialFilterExpression={"status": "dead"})
IN_WORK = index("orderingKey", unique=True, partialFilterExpression={"status": "processing"})
ALL = (ID, DUE, SPARSE, CODES, IN_WORK)
MESSAGE = {"_id": "a", "queue": "q", "dueAt": 1, "orderingKey": "k", "status": "enqueued", "errors": []}


def errors(*codes: str) -> dict[str, Any]:
    return {"errors": [{"code": code} for code in codes]}


@pytest.mark.parametrize(
    ("of", "document", "entries"),
    [
        (ID, MESSAGE, 1),
        (DUE, MESSAGE, 1),
        (DUE, {"_id": "a"}, 1),  # missing fields count as null
        (SPARSE, MESSAGE, 0),
        (SPARSE, {**MESSAGE, "effectsDueAt": None}, 1),
        (IN_WORK, MESSAGE, 0),
        (IN_WORK, {**MESSAGE, "status": "processing"}, 1),
        (CODES, {**MESSAGE, **errors("x", "y")}, 0),
        (CODES, {**MESSAGE, **errors("x", "y"), "status": "dead"}, 2),
        (CODES, {**MESSAGE, **errors("x", "x"), "status": "dead"}, 1),
        (CODES, {**MESSAGE, "status": "dead"}, 1),  # an empty array counts as one missing value
        (index("tags"), {"tags": ["a", "b", "c"]}, 3),
        (index("queue", "tags"), {"queue": "q", "tags": ["a", "b"]}, 2),
        (index("a.b"), {"a": {"b": {"c": [1]}}}, 1),
    ],
)
def test_a_document_has_entries_by_the_kind_of_the_index(of: Index, document: dict[str, Any], entries: int) -> None:
    assert len(of.entries(document)) == entries


@pytest.mark.parametrize(
    ("before", "after", "changed", "written"),
    [
        (None, MESSAGE, 2, 2),
        (MESSAGE, None, 2, 2),
        (MESSAGE, MESSAGE, 0, 0),
        (MESSAGE, {**MESSAGE, "owner": "w"}, 0, 2),  # no key changes, and the whole document is written
        (MESSAGE, {**MESSAGE, "dueAt": 2}, 2, 2),  # one entry is removed and one added
        (MESSAGE, {**MESSAGE, "status": "processing", "dueAt": 2}, 3, 3),
        ({**MESSAGE, "status": "processing"}, {**MESSAGE, "status": "dead", **errors("x")}, 2, 3),
        ({**MESSAGE, "status": "dead", **errors("x")}, {**MESSAGE, "status": "dead", **errors("x", "y")}, 1, 4),
        ({**MESSAGE, "effectsDueAt": 1}, MESSAGE, 1, 2),
    ],
)
def test_a_write_changes_the_entries_whose_key_differs(
    before: dict[str, Any] | None, after: dict[str, Any] | None, changed: int, written: int
) -> None:
    assert entry_counts(ALL, before, after) == EntryCounts(changed, written)


@pytest.mark.parametrize("only", [{"attempts": {"$gt": 3}}, {"$or": [{"status": "dead"}]}])
def test_a_filter_that_is_not_understood_is_refused(only: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="partial filter"):
        index("orderingKey", partialFilterExpression=only)
