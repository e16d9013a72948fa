"""Generated rows of FS: whatever a row holds, reading it raises nothing."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from casebridge.exams.exam_key import ExamKey
from casebridge.exams.fs_rows import UnreadableRow, read_row

EXAM = ExamKey(217, "DAT200", "1", "S", 2026, "VÅR").vurd_id
ROW: dict[str, Any] = {
    "examId": EXAM, "personlopenr": 480777, "kandidatnr": 1042, "brukernavn": "ola.n", "kommisjonsId": "3",
    "datoKlageMottat": "2026-07-01", "datoVedtakFormidlet": None, "frist": "2026-07-15",
}  # fmt: skip


@given(
    some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
        lambda each: some.lists(each) | some.dictionaries(some.sampled_from([*ROW, "x"]) | some.text(), each),
    )
)
def test_no_row_raises(row: Any) -> None:
    for candidate in (row, {**ROW, **row} if isinstance(row, dict) else row):
        read = read_row(candidate)
        if isinstance(read, UnreadableRow):
            assert read.raw.isascii()
            assert json.loads(read.raw) is not None or candidate is None
