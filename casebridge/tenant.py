"""Names: an institution in an environment, and a *tenant*, which is the same on one exam system.

- Operators, partitions and `--institution` know the institution, `uis.no/prod`.
- What is per exam system (configuration row, pause, lane, clients) is keyed by the tenant, `uis.no/prod/WISEFLOW`.
- The tenant of what has no exam system is the institution alone. Its key is `uis.no/prod/`, so that nobody takes it for the
  institution as a whole with all its exam systems.

All of them are built here and nowhere else, in one spelling.
"""

import unicodedata
from typing import Final

UNKNOWN: Final = "unknown"
"""Stands for a part of a name that a document lacks."""
NO_EXAM_SYSTEM: Final = ""
"""The exam system of a message, an audit entry or an alert that has none. `unknown` says that nobody knows which it is."""
_ESCAPES: Final = (("%", "%25"), ("/", "%2f"))


def normal_name(text: str) -> str:
    """An organisation or environment in its one spelling: Unicode NFC, no white space around it, lower case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()


def normal_exam_system(text: str) -> str:
    """The code of an exam system in its one spelling, which FS and the configuration share: upper case."""
    return unicodedata.normalize("NFC", text).strip().upper()


def institution_name(org_id: object, env: object) -> str:
    """The institution's name, `uis.no/prod`. A slash within a part is escaped, so that no two pairs have one name."""
    return "/".join(_escaped(normal_name(part)) if isinstance(part, str) else UNKNOWN for part in (org_id, env))


def normal_institution(name: object) -> str:
    """A name of an institution as a document has it, in its one spelling."""
    if not isinstance(name, str):
        return UNKNOWN
    return "/".join(normal_name(part) for part in name.split("/"))


def tenant_key(institution: object, exam_system: object) -> str:
    """The tenant's key, `uis.no/prod/WISEFLOW`; `uis.no/prod/` without an exam system. What a document lacks is `unknown`."""
    is_known = isinstance(exam_system, str) and exam_system != UNKNOWN
    part = _escaped(normal_exam_system(str(exam_system))) if is_known else UNKNOWN
    return f"{normal_institution(institution)}/{part}"


def environment_of(institution: object) -> str | None:
    """The environment in an institution's name; `None` where the name holds none, or an unknown one."""
    org_id, slash, env = normal_institution(institution).rpartition("/")
    return env if slash and org_id and env not in ("", UNKNOWN) else None


def _escaped(part: str) -> str:
    for letter, escape in _ESCAPES:
        part = part.replace(letter, escape)
    return part
