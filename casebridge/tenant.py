"""The names of institutions and tenants. A *tenant* is an institution on one exam system.

- Operators, partitions and `--institution` use the institution: `uis.no/prod`.
- Things that are separate for each exam system (configuration row, pause, lane, clients) have the tenant's key:
  `uis.no/prod/WISEFLOW`.
- Without an exam system the key is `uis.no/prod/`. So it differs from the institution as a whole with all its exam systems.

All these names are built here and nowhere else, in one spelling.
"""

import unicodedata
from typing import Final

UNKNOWN: Final = "unknown"
"""Used for a part of a name that a document lacks."""
NO_EXAM_SYSTEM: Final = ""
"""The exam system of a message, an audit entry or an alert that has none. `unknown` means that it is not known."""
_ESCAPES: Final = (("%", "%25"), ("/", "%2f"))


def normal_name(text: str) -> str:
    """An organisation or environment in its one spelling: Unicode NFC, no white space around it, lower case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()


def normal_exam_system(text: str) -> str:
    """The code of an exam system in its one spelling, for FS and the configuration: upper case."""
    return unicodedata.normalize("NFC", text).strip().upper()


def institution_name(org_id: object, env: object) -> str:
    """The institution's name, `uis.no/prod`. A slash within a part is escaped, so that two pairs never have the same name."""
    return "/".join(_escaped(normal_name(part)) if isinstance(part, str) else UNKNOWN for part in (org_id, env))


def normal_institution(name: object) -> str:
    """The name of an institution from a document, in its one spelling; `unknown` if it is not a text."""
    if not isinstance(name, str):
        return UNKNOWN
    return "/".join(normal_name(part) for part in name.split("/"))


def tenant_key(institution: object, exam_system: object) -> str:
    """The tenant's key: `uis.no/prod/WISEFLOW`, or `uis.no/prod/` without an exam system. A missing part is `unknown`."""
    is_known = isinstance(exam_system, str) and exam_system != UNKNOWN
    part = _escaped(normal_exam_system(str(exam_system))) if is_known else UNKNOWN
    return f"{normal_institution(institution)}/{part}"


def environment_of(institution: object) -> str | None:
    """The environment in an institution's name; `None` if the name has none, or an unknown one."""
    org_id, slash, env = normal_institution(institution).rpartition("/")
    return env if slash and org_id and env not in ("", UNKNOWN) else None


def _escaped(part: str) -> str:
    for letter, escape in _ESCAPES:
        part = part.replace(letter, escape)
    return part
