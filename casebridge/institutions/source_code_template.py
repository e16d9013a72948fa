"""The template of an institution's source codes in WISEflow, as `configDB.orgs` has it (`wiseflow.sourceCode`).

A source code is built from the key of an exam in FS and from fields that FS sends with the exam (contract 3.2 and 4.3). Each
institution decides which of them its flows have. This module only validates templates. `resources.wiseflow.source_code` builds
the code of an exam.
"""

from string import Formatter
from typing import Any, Final, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

KEY_COLUMNS: Final = ("institusjonsnr", "emnekode", "versjonskode", "vurdkombkode", "arstall", "vurdtidkode")
SENT_WITH_THE_EXAM: Final = ("vurderingsordning", "tid")
"""Fields outside the key. FS sends them with the exam or the row, if the institution has set it up so."""
PLACEHOLDERS: Final = frozenset(KEY_COLUMNS + SENT_WITH_THE_EXAM)
YEARS: Final = frozenset({"arstall", "tid"})
WILDCARD: Final = "*"


class SourceCodeTemplate(str):
    """A template such as `{institusjonsnr}||{emnekode}||{tid}`. It is validated when it is created. Raises `ValueError`.

    It must name the course and the year, so that two exams never have the same code. It must not contain `*`, which matches any
    part in WISEflow's search.
    """

    __slots__ = ()

    def __new__(cls, template: str) -> Self:
        _check(template)
        return super().__new__(cls, template)

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(name for _, name, _, _ in Formatter().parse(self) if name is not None)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))


def _check(template: str) -> None:
    names = {
        name for _, name, spec, conversion in _parsed(template) if name is not None and not _is_plain(spec, conversion)
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
    """Raises `ValueError` if braces do not match."""
    return list(Formatter().parse(template))


def _is_plain(spec: str | None, conversion: str | None) -> bool:
    return not spec and not conversion


DEFAULT_SOURCE_CODE: Final = SourceCodeTemplate(
    "{institusjonsnr}||{emnekode}||{versjonskode}||{vurdkombkode}||{arstall}||{vurdtidkode}"
)
"""The parts of FS's key, in FS's order."""
