"""How an institution's source codes in WISEflow are built from the key of a vurderingsenhet (contract 3.2 and 4.3).

WISEflow's FS client builds them from `vurderingsordning` and `tid`, the key of FS has `vurdkombkode` and `vurdtidkode`: which of
them an institution's flows bear is its own to say, by a template in `configDB.orgs` (`wiseflow.sourceCode`).
"""

import unicodedata
from string import Formatter
from typing import Any, Final, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import ExamKey

KEY_COLUMNS: Final = ("institusjonsnr", "emnekode", "versjonskode", "vurdkombkode", "arstall", "vurdtidkode")
SENT_WITH_THE_EXAM: Final = ("vurderingsordning", "tid")
"""Fields that are not of the key: FS sends them with the exam or the row, where the institution has it so."""
PLACEHOLDERS: Final = frozenset(KEY_COLUMNS + SENT_WITH_THE_EXAM)
YEARS: Final = frozenset({"arstall", "tid"})
WILDCARD: Final = "*"


class SourceCodeTemplate(str):
    """A template such as `{institusjonsnr}||{emnekode}||{tid}`. Validated where it is made: `ValueError` says what is wrong.

    It must name the course and the year, so that two exams never have one code, and may hold no `*`, which stands for any part
    in WISEflow's search.
    """

    __slots__ = ()

    def __new__(cls, template: str) -> Self:
        _check(template)
        return super().__new__(cls, template)

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(name for _, name, _, _ in Formatter().parse(self) if name is not None)

    def render(self, exam: ExamKey, *, vurderingsordning: str | None, tid: str | None) -> str:
        """The source code of `exam`.

        Raises `PermanentError` `fs.source_code_part_missing` when the template wants a field that FS did not send.
        """
        sent = {"vurderingsordning": vurderingsordning, "tid": tid}
        missing = sorted(name for name in self.placeholders if name in sent and not (sent[name] or "").strip())
        if missing:
            raise PermanentError(
                "fs.source_code_part_missing",
                f"FS did not send {' and '.join(missing)}, of which the institution's source codes are built.",
                "Have FS send it, or change wiseflow.sourceCode of the institution in configDB.orgs; then replay the message.",
                system="FS",
            )
        columns = dict(zip(KEY_COLUMNS, exam.parts, strict=True))
        parts = columns | {name: (value or "").strip() for name, value in sent.items()}
        return unicodedata.normalize("NFC", self.format_map(parts))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))


def _check(template: str) -> None:
    names = {
        name for _, name, spec, conversion in _parsed(template) if name is not None and not _plain(spec, conversion)
    }
    if names:
        raise ValueError("a placeholder is a name in braces and nothing else")
    named = {name for _, name, _, _ in _parsed(template) if name is not None}
    if unknown := named - PLACEHOLDERS:
        raise ValueError(f"{len(unknown)} placeholder(s) unknown; known are {', '.join(sorted(PLACEHOLDERS))}")
    if "emnekode" not in named or named.isdisjoint(YEARS):
        raise ValueError("a source code names the course (emnekode) and the year (arstall or tid)")
    texts = "".join(text for text, _, _, _ in _parsed(template))
    if WILDCARD in texts or not texts.isprintable() or template != template.strip():
        raise ValueError("no wildcard, no control character, no white space at the ends")


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """Raises `ValueError` where braces do not match."""
    return list(Formatter().parse(template))


def _plain(spec: str | None, conversion: str | None) -> bool:
    return not spec and not conversion


DEFAULT_SOURCE_CODE: Final = SourceCodeTemplate(
    "{institusjonsnr}||{emnekode}||{versjonskode}||{vurdkombkode}||{arstall}||{vurdtidkode}"
)
"""The key of FS in its own order, as `ExamKey.source_code`."""
