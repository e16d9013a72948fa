"""The vurderingsenhet key travels encoded, and comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import ExamKey

column = st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), min_size=1, max_size=12)


def test_the_example_of_the_contract() -> None:
    key = ExamKey(217, "DAT200", "1", "S", 2025, "HØST")
    assert key.vurd_id == "MjE3fHxEQVQyMDB8fDF8fFN8fDIwMjV8fEjDmFNU"
    assert key.source_code == "217||DAT200||1||S||2025||HØST"


@given(
    st.builds(
        ExamKey,
        institusjonsnr=st.integers(1, 9999),
        emnekode=column,
        versjonskode=column,
        vurdkombkode=column,
        arstall=st.integers(1990, 2100),
        vurdtidkode=column,
    )
)
def test_decoding_reverses_encoding(key: ExamKey) -> None:
    assert ExamKey.from_vurd_id(key.vurd_id) == key
    assert "=" not in key.vurd_id


@pytest.mark.parametrize("nonsense", ["", "æøå", "MjE3", "MjE3fHxhfHxifHxjfHxkfHxl", "////", "MjE3fHxEQVQ=="])
def test_nonsense_is_refused_with_a_code_and_without_its_text(nonsense: str) -> None:
    with pytest.raises(PermanentError) as refused:
        ExamKey.from_vurd_id(nonsense)
    assert refused.value.code == "fs.vurd_id_unreadable"
    assert not nonsense or nonsense not in str(refused.value)
