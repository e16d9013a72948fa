"""The key of a vurderingsenhet is encoded and decoded without a change."""

import base64
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import SEPARATOR, ExamKey, plain_vurd_id, spellings

column = (
    st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), min_size=1, max_size=12)
    .map(lambda text: unicodedata.normalize("NFC", text.strip()))
    .filter(bool)
)


def test_the_example_of_the_contract() -> None:
    key = ExamKey(217, "DAT200", "1", "S", 2025, "HØST")
    assert key.vurd_id == "MjE3fHxEQVQyMDB8fDF8fFN8fDIwMjV8fEjDmFNU"
    assert "||".join(key.parts) == "217||DAT200||1||S||2025||HØST"


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


HARMLESS = {
    "padding": lambda name: name + "=" * (-len(name) % 4),
    "escaped padding": lambda name: quote(name + "=" * (-len(name) % 4)),
    "escaped twice": lambda name: quote(quote(name + "=" * (-len(name) % 4), safe=""), safe=""),
    "characters that are not drawn": lambda name: f"\ufeff{name[:4]}\u200b{name[4:]}",
    "the other alphabet": lambda name: name.translate(str.maketrans("-_", "+/")),
    "white space": lambda name: f" {name}\n",
    "decomposed letters": lambda name: base64.urlsafe_b64encode(
        unicodedata.normalize("NFD", base64.urlsafe_b64decode(name + "===").decode()).encode()
    ).decode(),
    "white space in a part": lambda name: base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(name + "===").decode().replace(SEPARATOR, f" {SEPARATOR} ").encode()
    ).decode(),
}
KEYS = [
    ExamKey(217, emnekode, "1", "S", 2025, vurdtidkode)
    for emnekode in ("DAT200", "DAT20", "MATÅÆ>?", "A~~~")
    for vurdtidkode in ("HØST", "VÅR", "H")
]


@pytest.mark.parametrize("spelling", HARMLESS)
@pytest.mark.parametrize("key", KEYS, ids=["||".join(key.parts) for key in KEYS])
def test_harmless_spellings_are_one_exam(key: ExamKey, spelling: str) -> None:
    written = HARMLESS[spelling](key.vurd_id)
    assert ExamKey.from_vurd_id(written) == key
    assert {written, key.vurd_id} <= spellings(written)
    if spelling not in ("decomposed letters", "white space in a part"):
        assert plain_vurd_id(written) == key.vurd_id


def test_an_exam_is_requested_with_the_letters_that_fs_sent() -> None:
    """FS knows the exam by the letters that it sent. We may change only the spelling of the code."""
    decomposed = HARMLESS["decomposed letters"](KEYS[0].vurd_id)
    assert base64.urlsafe_b64decode(plain_vurd_id(decomposed) + "===").decode() == "217||DAT200||1||S||2025||HØST"


def test_a_text_that_is_no_vurd_id_is_not_changed() -> None:
    assert plain_vurd_id("æøå") == "æøå"
    assert spellings("æøå") >= {"æøå"}
