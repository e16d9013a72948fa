"""FS says to which exam an answer or a row belongs. A row of another exam than the requested one is not used for this one."""

import base64
import json
from typing import Any

import pytest

from casebridge.errors import NotReadyError, TransientError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.explanations.current_row import current_row
from casebridge.exams.fs_rows import UnreadableRow, read_row
from casebridge.exams.models import ExplanationRequest
from tests.contract.fs.test_fs_digex_answers import scripted
from tests.contract.fs.test_fs_digex_client import registration
from tests.support.scripted_server import ScriptedServer, answer

KEY = ExamKey(217, "DAT200", "1", "S", 2026, "VÅR")
ASKED, OTHER = KEY.vurd_id, ExamKey(217, "DAT201", "1", "S", 2026, "VÅR").vurd_id
PADDED = ASKED + "=" * (-len(ASKED) % 4)
STANDARD = base64.b64encode("217||DAT200||1||S||2026||VA\u030aR".encode()).decode()
SAME = [ASKED, PADDED, f" {ASKED} ", PADDED.replace("=", "%3D"), STANDARD, None, ""]
PERSON = 481223


def row(**fields: Any) -> dict[str, Any]:
    return {"personlopenr": PERSON, "kandidatnr": 1042, "datoKlageMottat": "2026-07-01", **fields}


def rows_of(body: object, asked: str = ASKED) -> list[ExplanationRequest | UnreadableRow]:
    with ScriptedServer(answer("200 OK", json.dumps(body).encode())) as server:
        registry = scripted(server)
        try:
            return [read_row(one) for one in registry.explanation_rows(asked)]
        finally:
            registry.close()


def now(body: object) -> Any:
    with ScriptedServer(answer("200 OK", json.dumps(body).encode())) as server:
        registry = scripted(server)
        try:
            return current_row(registry, ASKED, PERSON)
        finally:
            registry.close()


@pytest.mark.parametrize("outer", [OTHER, OTHER + "==", "abc", 7, {}, [ASKED], {"id": ASKED}, True])
def test_an_answer_for_another_exam_is_refused(outer: Any) -> None:
    """A cache may give the answer for another exam. Its rows do not name their exam."""
    for rows in ([row()], [row(examId=ASKED)], []):
        with pytest.raises(TransientError) as caught:
            rows_of({"examId": outer, "begrunnelser": rows})
        assert caught.value.code == "fs.shape_unknown"
        assert "examId" in caught.value.cause


@pytest.mark.parametrize("asked", [ASKED, PADDED, STANDARD])
@pytest.mark.parametrize("outer", SAME)
@pytest.mark.parametrize("inner", SAME)
def test_each_spelling_of_the_exam_is_accepted(outer: str | None, inner: str | None, asked: str) -> None:
    (read,) = rows_of({"examId": outer, "begrunnelser": [row(examId=inner)]}, asked)
    assert isinstance(read, ExplanationRequest)
    assert read.exam == KEY


def test_a_row_of_another_exam_counts_as_unreadable() -> None:
    read = rows_of({"examId": ASKED, "begrunnelser": [row(examId=OTHER), row(), row(examId="abc"), "x"]})
    assert [isinstance(one, UnreadableRow) for one in read] == [True, False, True, True]
    strange = read[0]
    assert isinstance(strange, UnreadableRow)
    assert (strange.fields, strange.personlopenr, strange.kandidatnr) == ("examId", PERSON, 1042)
    assert OTHER in strange.raw, "whoever looks at the message sees what FS said"


def test_a_later_row_of_another_exam_is_not_chosen_for_this_one() -> None:
    found = now({"begrunnelser": [row(), row(examId=OTHER, datoKlageMottat="2026-07-09", kandidatnr=7)]})
    assert (found.request.vurd_id, found.request.kandidatnr) == (ASKED, 1042)
    assert found.others == ()
    assert found.unreadable == (), "it is the person's own"


def test_a_row_of_another_exam_alone_is_neither_the_request_nor_its_removal() -> None:
    with pytest.raises(NotReadyError) as caught:
        now({"begrunnelser": [row(examId=OTHER)]})
    assert caught.value.code == "fs.row_unreadable_now"


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ({"examId": PADDED, "personlopenr": f" {PERSON}"}, True),
        ({"examId": None, "personlopenr": None}, True),
        ({"examId": OTHER, "personlopenr": PERSON}, False),
        ({"examId": ASKED, "personlopenr": PERSON + 1}, False),
        ({"personlopenr": "somebody"}, False),
    ],
)
def test_a_registration_is_taken_only_by_its_own_row(said: dict[str, Any], is_taken: bool) -> None:
    body = {**said, "datoVedtakFormidlet": "2026-07-09"}
    with ScriptedServer(answer("200 OK", json.dumps(body).encode())) as server:
        registry = scripted(server)
        order = registration({"examId": ASKED, "personlopenr": PERSON, "kandidatnr": 1042})
        if is_taken:
            registry.register_explanation(order)
        else:
            with pytest.raises(TransientError) as caught:
                registry.register_explanation(order)
            assert caught.value.code == "fs.shape_unknown"
        registry.close()
