"""The key of a vurderingsenhet in FS, and its encoded form `vurdId`.

This module has only the key and its encoding. How an exam system identifies the exam is in the adapter of that system.
"""

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from casebridge.errors import PermanentError

SEPARATOR: Final = "||"
KEPT_EXAMS: Final = 2048
"""How many decoded keys are cached: all rows of an exam have the same key."""
STANDARD_ALPHABET: Final = str.maketrans("+/", "-_")
URL_ALPHABET: Final = str.maketrans("-_", "+/")
COURSE_CODE: Final = re.compile(r"(?=[^0-9]*[0-9])(?!.*[0-9]{6})[\w.:/-]{2,15}")
"""Letters with a number, such as DAT200 or MED-3100. Names and identity numbers do not have this form."""
SHORT_CODE: Final = re.compile(r"\w{1,3}")
TERM_CODE: Final = re.compile(r"[A-ZÆØÅa-zæøå]{0,4}[0-9]{0,4}")
YEARS: Final = (1900, 2200)


@dataclass(frozen=True, order=True)
class ExamKey:
    """One vurderingsenhet: the six key columns of FS (contract 3.2). `vurdtidkode` is not always the term."""

    institusjonsnr: int
    emnekode: str
    versjonskode: str
    vurdkombkode: str
    arstall: int
    vurdtidkode: str

    @property
    def parts(self) -> tuple[str, ...]:
        return (
            str(self.institusjonsnr),
            self.emnekode,
            self.versjonskode,
            self.vurdkombkode,
            str(self.arstall),
            self.vurdtidkode,
        )

    @property
    def vurd_id(self) -> str:
        """The encoded key for URLs and messages: base64url without padding (contract 3.2 `[inferred]`)."""
        return _encoded(SEPARATOR.join(self.parts).encode())

    @classmethod
    @lru_cache(maxsize=KEPT_EXAMS)
    def from_vurd_id(cls, vurd_id: str) -> "ExamKey":
        """Decode a `vurdId` in any spelling. The parts are in Unicode's composed form, without white space around them.

        Raises `PermanentError` `fs.vurd_id_unreadable` if it cannot be decoded.
        """
        try:
            parts = [unicodedata.normalize("NFC", part.strip()) for part in _decoded(vurd_id).split(SEPARATOR)]
            institusjonsnr, emnekode, versjonskode, vurdkombkode, arstall, vurdtidkode = parts
            return cls(int(institusjonsnr), emnekode, versjonskode, vurdkombkode, int(arstall), vurdtidkode)
        except (binascii.Error, UnicodeError, ValueError) as error:
            raise PermanentError(
                "fs.vurd_id_unreadable",
                f"The vurdId that FS sent cannot be decoded ({type(error).__name__}).",
                "Ask the FS team for the vurderingsenhet; the raw row is in the message in oai.meldingQ.",
                system="FS",
            ) from None


def exam_name(vurd_id: str) -> str:
    """The name of an exam for people, built from the codes in its id.

    An id that cannot be decoded, or that contains words or long numbers, may contain personal data, so it is not shown.
    """
    try:
        key = ExamKey.from_vurd_id(vurd_id)
    except PermanentError:
        return "an exam whose examId cannot be decoded"
    if not COURSE_CODE.fullmatch(key.emnekode) or not YEARS[0] <= key.arstall <= YEARS[1]:
        return "an exam with an odd examId"
    version = [key.versjonskode] if SHORT_CODE.fullmatch(key.versjonskode) else []
    term = [key.vurdtidkode] if TERM_CODE.fullmatch(key.vurdtidkode) else []
    return " ".join(("exam", key.emnekode, *version, str(key.arstall), *term))


@lru_cache(maxsize=KEPT_EXAMS)
def plain_vurd_id(vurd_id: str) -> str:
    """A `vurdId` in the form that is sent to FS: base64url without padding (contract 3.2 `[inferred]`).

    The decoded bytes do not change, because FS identifies its exams by them. An id that cannot be decoded is returned unchanged.
    """
    try:
        return _encoded(_decoded(vurd_id).encode())
    except (binascii.Error, UnicodeError, ValueError):
        return vurd_id


def spellings(vurd_id: str) -> frozenset[str]:
    """All spellings of a `vurdId` that documents of earlier versions may have: in both alphabets, padded or not."""
    try:
        names = {plain_vurd_id(vurd_id), ExamKey.from_vurd_id(vurd_id).vurd_id}
    except PermanentError:
        names = {vurd_id}
    padded = names | {name + "=" * (-len(name) % 4) for name in names}
    return frozenset(padded | {name.translate(URL_ALPHABET) for name in padded} | {vurd_id})


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _decoded(vurd_id: str) -> str:
    """Raises `binascii.Error`, `UnicodeError` or `ValueError`."""
    unquoted = vurd_id
    while (once_more := unquote(unquoted)) != unquoted:  # each system on the way may have quoted it again
        unquoted = once_more
    visible = (letter for letter in unquoted if not letter.isspace() and unicodedata.category(letter) != "Cf")
    name = "".join(visible).translate(STANDARD_ALPHABET).rstrip("=")
    return base64.b64decode(name + "=" * (-len(name) % 4), altchars=b"-_", validate=True).decode()
