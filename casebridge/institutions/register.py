"""Reads which institutions are active: `configDB.orgs` joined with `oai.KlageBegrunnelseEnvs`."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import ValidationError

from casebridge.database import Database, Document
from casebridge.institutions.institution import Institution
from casebridge.safe_names import ConfiguredNames
from casebridge.served_environment import ServedEnvironment
from casebridge.tenant import (
    UNKNOWN,
    institution_name,
    normal_exam_system,
    normal_institution,
    normal_name,
    tenant_key,
)

logger = logging.getLogger(__name__)

PARTS: Final = ("orgId", "env", "examSystem")


class InstitutionRegister:
    """The active institutions with active explanations, one entry for each exam system. Read again every `fresh_seconds`.

    A row that cannot be used is reported (`problems`) and does not stop the others. If there are several rows for an institution
    and exam system, the first readable one by `_id` counts.
    """

    def __init__(
        self,
        database: Database,
        served: ServedEnvironment,
        exam_systems: frozenset[str],
        fresh_seconds: float = 15.0,
    ) -> None:
        """`exam_systems` are the supported exam systems. Requests of any other are set aside, so that people see them."""
        self._exam_systems = exam_systems
        self._orgs = database.orgs
        self._environments = database.environments
        self._served = served
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._institutions: dict[str, Institution] = {}
        self._known: frozenset[str] = frozenset()
        self._problems: dict[str, str] = {}
        self._names = ConfiguredNames()

    def active(self) -> list[Institution]:
        """The active institutions in order of their keys, one entry for each exam system."""
        with self._lock:
            if time.monotonic() - self._read_at > self._fresh_seconds:
                self._read()
            return [self._institutions[tenant] for tenant in sorted(self._institutions)]

    def get(self, institution: str, exam_system: str) -> Institution | None:
        """The institution of a message, or `None`. If it is not known, the configuration is read again.

        If the message does not name its exam system, the result is the institution's only entry, if it has exactly one.
        """
        found = self._find(self.active(), institution, exam_system)
        if found is None:
            with self._lock:
                self._read()
                found = self._find(self._institutions.values(), institution, exam_system)
        return found

    def named(self, institution: str) -> list[Institution]:
        """The active entries of the institution with this name, `uis.no/prod`: one for each exam system."""
        name = normal_institution(institution)
        found = [one for one in self.active() if one.key == name]
        if not found:
            with self._lock:
                self._read()
                found = [one for tenant, one in sorted(self._institutions.items()) if one.key == name]
        return found

    def is_configured(self, org_id: str, env: str) -> bool:
        """Whether the configuration has the institution with active explanations, even if its environment is not served."""
        self.active()
        return institution_name(org_id, env) in self._known

    def configured(self) -> list[str]:
        """The names of all institutions in the present configuration, active or not, in all environments."""
        rows = self._environments.find({}, {"orgId": 1, "env": 1})
        return sorted({institution_name(row.get("orgId"), row.get("env")) for row in rows})

    def names(self) -> ConfiguredNames:
        """All names in the configuration, active or not, in all environments. Only these names may be shown."""
        self.active()
        return self._names

    def problems(self) -> Mapping[str, str]:
        """The rows of the configuration that are not used, or not fully, with the reasons. Never has values of fields."""
        self.active()
        return self._problems

    def _find(self, institutions: Iterable[Institution], institution: str, exam_system: str) -> Institution | None:
        if exam_system == UNKNOWN:
            found = [one for one in institutions if one.key == normal_institution(institution)]
            return found[0] if len(found) == 1 else None
        tenant = tenant_key(institution, exam_system)
        return next((one for one in institutions if one.tenant == tenant), None)

    def _read(self) -> None:
        earlier, self._problems, institutions = self._problems, {}, {}
        orgs = self._active_orgs()
        self._names = self._configured_names()
        known: set[str] = set()
        for row in _in_order(self._environments.find({"begrunnelse": True})):
            if (names := self._name_parts(row, PARTS)) is None or not (org := orgs.get(normal_name(names[0]))):
                continue
            known.add(institution_name(names[0], names[1]))
            if not self._served.serves(institution_name(names[0], names[1])):
                continue
            tenant = tenant_key(institution_name(names[0], names[1]), names[2])
            if tenant in institutions:
                self._problems[f"{tenant} again"] = "another row says the same: the first by _id counts"
            elif institution := self._institution(tenant, org, {**row, "written": names}):
                institutions[tenant] = institution
                if institution.exam_system not in self._exam_systems:
                    self._problems[tenant] = "no exam system that this version can carry: its requests are set aside"
        self._institutions, self._known, self._read_at = institutions, frozenset(known), time.monotonic()
        for key, problem in self._problems.items():
            if earlier.get(key) != problem:
                logger.warning("configuration of %s: %s", key, problem)

    def _configured_names(self) -> ConfiguredNames:
        rows = [
            tuple(row[name] for name in PARTS)
            for row in self._environments.find({}, dict.fromkeys(PARTS, 1))
            if all(isinstance(row.get(name), str) for name in PARTS)
        ]
        return ConfiguredNames(
            frozenset(institution_name(org_id, env) for org_id, env, _ in rows),
            frozenset(normal_name(org_id) for org_id, _, _ in rows),
            frozenset(normal_name(env) for _, env, _ in rows),
            self._exam_systems | {normal_exam_system(exam_system) for _, _, exam_system in rows},
        )

    def _active_orgs(self) -> dict[str, Document]:
        orgs: dict[str, Document] = {}
        for row in _in_order(self._orgs.find({"aktiv": True})):
            if names := self._name_parts(row, PARTS[:1]):
                key = normal_name(names[0])
                if key in orgs:
                    self._problems[f"{key} again"] = "another document in configDB.orgs: the first by _id counts"
                orgs.setdefault(key, row)
        return orgs

    def _name_parts(self, row: Document, fields: tuple[str, ...]) -> tuple[str, ...] | None:
        """The fields that name a row. If one of them is no name, `None`, and the row is added to the problems."""
        if wrong := [field for field in fields if not isinstance(row.get(field), str) or not row[field].strip()]:
            self._problems[f"the row with _id {row['_id']}"] = f"lacks or misstates {', '.join(wrong)}"
            return None
        return tuple(row[field] for field in fields)

    def _institution(self, tenant: str, org: Document, environment: Document) -> Institution | None:
        # Values of the environment, such as addresses of a test system, replace those of the institution.
        try:
            return Institution.model_validate({**org, **environment})
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
            self._problems[tenant] = f"not carried: configDB.orgs or KlageBegrunnelseEnvs lacks or misstates {fields}"
            return None


def _in_order(rows: Iterable[Document]) -> list[Document]:
    """The rows in an order that does not depend on the server."""
    return sorted(rows, key=lambda row: str(row["_id"]))
