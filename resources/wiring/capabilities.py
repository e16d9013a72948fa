"""The list of capabilities: the one place that names them.

- A name without a dot is one of ours. `explanations` is built by `resources.wiring.explanations`, and its Dagster parts are in
  `orchestration.explanations`.
- A name with a dot is a package of another repository. `theirs.reminders` is built by `theirs.reminders.wiring`, and its Dagster
  parts are in `theirs.reminders.orchestration`.
- The module that builds has a function `build(platform)`. The module of the Dagster parts has a function `parts()`, and may be
  absent.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Final, cast

from casebridge.capability import Capability
from casebridge.errors import PermanentError
from casebridge.settings import CapabilitySettings
from resources.wiring.platform import Platform

ALL: Final = ("explanations",)


class UnknownCapabilityError(PermanentError):
    """A name in `CASEBRIDGE_CAPABILITIES` is not the name of a capability."""


Builder = Callable[[Platform], Capability]


def chosen(settings: CapabilitySettings) -> Sequence[str]:
    """The names in `CASEBRIDGE_CAPABILITIES`. Without the setting: all capabilities of this repository."""
    return settings.capabilities or ALL


def builders(names: Sequence[str]) -> list[Builder]:
    """The functions that build these capabilities. Raises `UnknownCapabilityError` if a name is not known."""
    return [cast("Builder", _module(name, "resources.wiring", "wiring").build) for name in names]


def dagster_modules(names: Sequence[str]) -> list[ModuleType]:
    """The modules of the Dagster parts of these capabilities. A capability may have none.

    Raises `UnknownCapabilityError` if a name is not known.
    """
    modules = {name: f"orchestration.{name}" if "." not in name else f"{name}.orchestration" for name in names}
    for name in modules:
        _module(name, "resources.wiring", "wiring")
    return [importlib.import_module(path) for path in modules.values() if _exists(path)]


def _module(name: str, ours: str, theirs: str) -> ModuleType:
    path = f"{ours}.{name}" if "." not in name else f"{name}.{theirs}"
    known = ", ".join(ALL)
    if ("." not in name and name not in ALL) or not _exists(path):
        raise UnknownCapabilityError(
            "casebridge.capability_unknown",
            "CASEBRIDGE_CAPABILITIES names a capability that is not there.",
            f"Correct the variable: this release has {known}. A name with a dot must be a package that can be imported.",
        )
    return importlib.import_module(path)


def _exists(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False
