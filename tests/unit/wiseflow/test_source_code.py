"""How source codes are built: one template for each institution. A template that cannot be used is refused when it is read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from casebridge.exams.exam_key import ExamKey
from casebridge.exams.ports import ExamPartMissingError
from casebridge.institutions.institution import Institution
from casebridge.institutions.source_code_template import DEFAULT_SOURCE_CODE, PLACEHOLDERS, SourceCodeTemplate
from resources.wiseflow.source_code import source_code

EXAM = ExamKey(217, "DAT200", "1", "S", 2025, "HØST")
VENDORS = "{institusjonsnr}||{emnekode}||{versjonskode}||{vurderingsordning}||{tid}"
DOCUMENT = {
    "orgId": "uis.no", "navn": "UiS", "institusjonsnr": 217, "env": "prod", "examSystem": "WISEFLOW",
    "digex": {"baseUrl": "https://fs.example/eksamen", "credentialRef": "uis.no-fs"},
}  # fmt: skip


def institution(**wiseflow: Any) -> Institution:
    access = {"baseUrl": "https://wiseflow.example/v1", "credentialRef": "uis.no-wiseflow", **wiseflow}
    return Institution.model_validate({**DOCUMENT, "wiseflow": access})


def template_of(read: Institution) -> SourceCodeTemplate:
    assert read.wiseflow is not None
    return read.wiseflow.source_code


def test_without_a_template_it_is_the_key_of_fs() -> None:
    template = template_of(institution())
    assert template == DEFAULT_SOURCE_CODE
    assert source_code(template, EXAM) == "||".join(EXAM.parts) == "217||DAT200||1||S||2025||HØST"


def test_the_vendors_own_fields_are_where_the_template_says() -> None:
    template = template_of(institution(sourceCode=VENDORS))
    assert isinstance(template, SourceCodeTemplate)
    assert (
        source_code(template, EXAM, vurderingsordning="SKOLE", tid=" 2025 HØST ") == "217||DAT200||1||SKOLE||2025 HØST"
    )


def test_a_decomposed_text_of_fs_is_searched_for_in_composed_form() -> None:
    rendered = source_code(SourceCodeTemplate(VENDORS), EXAM, vurderingsordning="S", tid="2025 VA\u030aR")
    assert rendered == "217||DAT200||1||S||2025 V\u00c5R"


@pytest.mark.parametrize(
    "sent", [{"vurderingsordning": None, "tid": "2025 HØST"}, {"vurderingsordning": "S", "tid": " "}]
)
def test_a_field_that_fs_did_not_send_is_named(sent: dict[str, str | None]) -> None:
    with pytest.raises(ExamPartMissingError) as refused:
        source_code(SourceCodeTemplate(VENDORS), EXAM, **sent)
    assert refused.value.code == "fs.source_code_part_missing"
    (missing,) = (name for name, value in sent.items() if not (value or "").strip())
    assert missing in str(refused.value)


UNUSABLE = {
    "empty": "",
    "white space": " ",
    "no placeholder": "217||DAT200",
    "unknown": "{institusjonsnr}||{emnekode}||{arstall}||{semester}",
    "another spelling": "{Emnekode}||{arstall}",
    "without the course": "{institusjonsnr}||{versjonskode}||{arstall}",
    "without the year": "{institusjonsnr}||{emnekode}||{vurdtidkode}",
    "open brace": "{emnekode||{arstall}",
    "closing brace": "{emnekode}}||{arstall}",
    "no name": "{}||{emnekode}||{arstall}",
    "number": "{0}||{emnekode}||{arstall}",
    "attribute": "{emnekode.__class__}||{emnekode}||{arstall}",
    "index": "{emnekode[0]}||{emnekode}||{arstall}",
    "conversion": "{emnekode!r}||{arstall}",
    "format": "{emnekode:>9999999999}||{arstall}",
    "nested": "{emnekode:{arstall}}||{arstall}",
    "wildcard": "{emnekode}||*||{arstall}",
    "line end": "{emnekode}||{arstall}\n",
    "control": "{emnekode}\x00{arstall}",
    "a number": 217,
    "a list": ["{emnekode}", "{arstall}"],
    "nothing": None,
}


@pytest.mark.parametrize("template", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_template_makes_its_field_unreadable(template: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        institution(sourceCode=template)
    assert [problem["loc"] for problem in refused.value.errors()] == [("wiseflow", "sourceCode")]


PARTS = st.lists(st.sampled_from([f"{{{name}}}" for name in sorted(PLACEHOLDERS)] + ["||", "-", "x", "{{", "}}"]))


@given(st.text() | PARTS.map("".join), st.text("DAT2{}*|", min_size=1), st.text(min_size=1))
def test_an_accepted_template_can_be_rendered_and_distinguishes_courses_and_years(
    template: str, course: str, sent: str
) -> None:
    try:
        accepted = SourceCodeTemplate(template)
    except ValueError:
        return
    codes = set()
    for emnekode in (course, course + "X"):
        for year in (2024, 2025):
            exam = ExamKey(217, emnekode, "1", "S", year, "HØST")
            codes.add(source_code(accepted, exam, vurderingsordning=f"{sent}.", tid=f"{year} HØST"))
    assert len(codes) == 4
