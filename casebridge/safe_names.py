"""Which names are repeated to people: those that are configured, or our own. What came from outside may hold anything.

Stored messages and records of Kafka say whose they are in texts that their senders chose. Such a text may be a student's, so it
stays in the database; alerts, the log index, reports and commands say `unknown` in its place.
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
"""The one alert that is about no institution: its names are those of Dagster's jobs."""
Found = TypeVar("Found", bound=Mapping[str, Any])


@dataclass(frozen=True)
class ConfiguredNames:
    """What stands in the configuration, active or not, in the one spelling of each kind (`casebridge.tenant`)."""

    institutions: frozenset[str] = frozenset()
    org_ids: frozenset[str] = frozenset()
    envs: frozenset[str] = frozenset()
    exam_systems: frozenset[str] = frozenset()


class SafeNames:
    """Each method gives back the name as it is, or `unknown`. Thread-safe as far as `configured` is."""

    def __init__(
        self, configured: Callable[[], ConfiguredNames], submodules: AbstractSet[str], topics: frozenset[str]
    ) -> None:
        """`submodules` are the queues and pollers of this version, `topics` those of its settings."""
        self._configured = configured
        self._submodules = submodules
        self._topics = topics

    def institution(self, name: object) -> str:
        """Of one that is not configured, such as `unknown/prod`, the parts that are: whose alerts they are depends on it."""
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
        """Of a case or message; that of a foreign message is what its sender chose."""
        return safe_id(name)

    def of_alert(self, alert: Alert) -> Alert:
        """The alert as it may be told."""
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
            else {self.correlation_id(case): word for case, word in alert.cases.items()},
        )

    def of_document(self, document: Found) -> dict[str, Any]:
        """A stored alert, or an entry of the log index, as it may be told; an earlier version may have written it."""
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
    """For what is used without a configuration: every text is a name."""

    def __init__(self) -> None:
        super().__init__(ConfiguredNames, frozenset(), frozenset())

    def institution(self, name: object) -> str:
        return name if isinstance(name, str) else UNKNOWN

    org_id = env = exam_system = submodule = topic = correlation_id = institution


ALL_NAMES: Final = AllNames()


def _known(name: object, known: AbstractSet[str], normal: Callable[[str], str] = str) -> str:
    return name if isinstance(name, str) and normal(name) in known else UNKNOWN
