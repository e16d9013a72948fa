"""The list of capabilities: the one place that names them.

A name without a dot is one of ours: `explanations` is built by `resources.wiring.explanations` and declares its Dagster parts in
`orchestration.explanations`. A name with a dot is a package of somebody else: `theirs.reminders` is built by
`theirs.reminders.wiring` and declares its Dagster parts in `theirs.reminders.orchestration`. The module that builds has a
function `build(platform)`. The other one has a function `parts()`, and may be absent.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Final, cast

from casebridge.capability import Capability
from casebridge.settings import CapabilitySettings
from resources.wiring.platform import Platform

ALL: Final = ("explanations",)
Builder = Callable[[Platform], Capability]


def chosen(settings: CapabilitySettings) -> Sequence[str]:
    """The names of `CASEBRIDGE_CAPABILITIES`; all of ours without it."""
    return settings.capabilities or ALL


def builders(names: Sequence[str]) -> list[Builder]:
    """Who builds each. Raises `ValueError` for a name that stands for nothing."""
    return [cast("Builder", _module(name, "resources.wiring", "wiring").build) for name in names]


def dagster_modules(names: Sequence[str]) -> list[ModuleType]:
    """The modules that declare what Dagster needs of each, where a capability needs Dagster at all."""
    places = [f"orchestration.{name}" if "." not in name else f"{name}.orchestration" for name in names]
    return [importlib.import_module(place) for place in places if importlib.util.find_spec(place)]


def _module(name: str, ours: str, theirs: str) -> ModuleType:
    place = f"{ours}.{name}" if "." not in name else f"{name}.{theirs}"
    known = ", ".join(ALL)
    if ("." not in name and name not in ALL) or not _is_there(place):
        raise ValueError(f"CASEBRIDGE_CAPABILITIES names a capability that is not there; ours are {known}")
    return importlib.import_module(place)


def _is_there(place: str) -> bool:
    try:
        return importlib.util.find_spec(place) is not None
    except ModuleNotFoundError:
        return False
