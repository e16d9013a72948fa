"""Decides which names may be shown to people: those of the configuration, and our own.

The senders of stored messages and Kafka records choose the names in them. Such a text may be a student's name. So it stays in the
database. Alerts, the log index, reports and commands show `unknown` instead.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from casebridge.alerts.alert import Alert
from casebridge.correlation_id import safe_id
from casebridge.tenant import (
    NO_EXAM_SYSTEM,
    UNKNOWN,
    institution_name,
    normal_exam_system,
    normal_institution,
    normal_name,
)

RUN_FAILED: Final = "dagster.run_failed"
"""The code of the only alert without an institution. Its names are those of Dagster's jobs."""
Found = TypeVar("Found", bound=Mapping[str, Any])


@dataclass(frozen=True)
class ConfiguredNames:
    """The names in the configuration, active or not, in the one spelling of each kind (`casebridge.tenant`)."""

    institutions: frozenset[str] = frozenset()
    org_ids: frozenset[str] = frozenset()
    envs: frozenset[str] = frozenset()
    exam_systems: frozenset[str] = frozenset()


class SafeNames:
    """Each method returns the name unchanged, or `unknown`. Thread-safe if `configured` is."""

    def __init__(
        self, configured: Callable[[], ConfiguredNames], submodules: AbstractSet[str], topics: frozenset[str]
    ) -> None:
        """`submodules` are the queues and polls of this version. `topics` are those of the settings."""
        self._configured = configured
        self._submodules = submodules
        self._topics = topics

    def institution(self, name: object) -> str:
        """The institution, or a tenant's key. If it is not configured, the parts that are, as in `unknown/prod`.

        The environment is kept, because it decides which processes send its alerts.
        """
        if not isinstance(name, str) or "/" not in name:
            return UNKNOWN
        if normal_institution(name) in self._configured().institutions:
            return name
        institution, _, exam_system = name.rpartition("/")
        if normal_institution(institution) in self._configured().institutions:
            return f"{institution}/{self.exam_system(exam_system)}"  # a tenant
        org_id, _, env = name.partition("/")
        return institution_name(self.org_id(org_id), self.env(env))

    def org_id(self, name: object) -> str:
        return _known(name, self._configured().org_ids, normal_name)

    def env(self, name: object) -> str:
        return _known(name, self._configured().envs, normal_name)

    def exam_system(self, name: object) -> str:
        if name == NO_EXAM_SYSTEM:
            return NO_EXAM_SYSTEM
        return _known(name, self._configured().exam_systems, normal_exam_system)

    def submodule(self, name: object) -> str:
        return _known(name, self._submodules)

    def topic(self, name: object) -> str:
        return _known(name, self._topics)

    def correlation_id(self, name: object) -> str:
        """The correlation id of a case or a message. A sender may have chosen that of a message."""
        return safe_id(name)

    def of_alert(self, alert: Alert) -> Alert:
        """The alert with the names that may be shown."""
        if alert.code == RUN_FAILED:
            return alert
        return replace(
            alert,
            institution=self.institution(alert.institution),
            org_id=self.org_id(alert.org_id),
            submodule=self.submodule(alert.submodule),
            exam_system=self.exam_system(alert.exam_system),
            correlation_id=None if alert.correlation_id is None else self.correlation_id(alert.correlation_id),
            cases=None
            if alert.cases is None
            else {self.correlation_id(case): note for case, note in alert.cases.items()},
        )

    def of_document(self, document: Found) -> dict[str, Any]:
        """A stored alert or an entry of the log index, perhaps of an earlier version, with the names that may be shown."""
        if document.get("code") == RUN_FAILED:
            return dict(document)
        fields: dict[str, Callable[[object], Any]] = {
            "institution": self.institution, "orgId": self.org_id, "env": self.env, "examSystem": self.exam_system,
            "examSys": self.exam_system, "submodule": self.submodule, "correlationId": self._id_or_none,
            "correlationIds": self._ids,
        }  # fmt: skip
        return {name: fields[name](value) if name in fields else value for name, value in document.items()}

    def _id_or_none(self, value: object) -> str | None:
        return None if value is None else self.correlation_id(value)

    def _ids(self, values: object) -> list[str]:
        return [self.correlation_id(value) for value in values] if isinstance(values, list) else []


class AllNames(SafeNames):
    """Shows every text as a name. For parts that are used without a configuration."""

    def __init__(self) -> None:
        super().__init__(ConfiguredNames, frozenset(), frozenset())

    def institution(self, name: object) -> str:
        return name if isinstance(name, str) else UNKNOWN

    org_id = env = exam_system = submodule = topic = correlation_id = institution


ALL_NAMES: Final = AllNames()


def _known(name: object, known: AbstractSet[str], normal: Callable[[str], str] = str) -> str:
    return name if isinstance(name, str) and normal(name) in known else UNKNOWN
