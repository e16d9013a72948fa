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
    """Active institutions with active explanations, each exam system of one apart. Read again every `fresh_seconds`.

    Every row is read for itself: one that cannot be used is told of (`problems`) and stops no other. Of several rows for one
    exam system of an institution the first by `_id` that can be read counts.
    """

    def __init__(
        self,
        database: Database,
        served: ServedEnvironment,
        exam_systems: frozenset[str],
        fresh_seconds: float = 15.0,
    ) -> None:
        """`exam_systems` are those that can be carried: requests of any other are set aside, each in sight."""
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
        """The institutions to carry cases for, in order of their keys, once for each exam system."""
        with self._lock:
            if time.monotonic() - self._read_at > self._fresh_seconds:
                self._read()
            return [self._institutions[tenant] for tenant in sorted(self._institutions)]

    def get(self, institution: str, exam_system: str) -> Institution | None:
        """The institution of a message, read anew if it is not known.

        A message that does not say on which exam system it is belongs to the only one that there is.
        """
        found = self._find(self.active(), institution, exam_system)
        if found is None:
            with self._lock:
                self._read()
                found = self._find(self._institutions.values(), institution, exam_system)
        return found

    def named(self, institution: str) -> list[Institution]:
        """The active institutions of this name, `uis.no/prod`: one for each exam system."""
        name = normal_institution(institution)
        found = [one for one in self.active() if one.key == name]
        if not found:
            with self._lock:
                self._read()
                found = [one for tenant, one in sorted(self._institutions.items()) if one.key == name]
        return found

    def is_configured(self, org_id: str, env: str) -> bool:
        """Whether the configuration knows the institution, whoever serves its environment."""
        self.active()
        return institution_name(org_id, env) in self._known

    def configured(self) -> list[str]:
        """The names of all institutions in the configuration as it stands now, active or not, whoever serves them."""
        rows = self._environments.find({}, {"orgId": 1, "env": 1})
        return sorted({institution_name(row.get("orgId"), row.get("env")) for row in rows})

    def names(self) -> ConfiguredNames:
        """All names that the configuration has, whoever serves them and whether they are active: those that may be repeated."""
        self.active()
        return self._names

    def problems(self) -> Mapping[str, str]:
        """Rows of the configuration that are not carried, or not as they stand, and why. Names and fields, never values."""
        self.active()
        return self._problems

    def _find(self, institutions: Iterable[Institution], institution: str, exam_system: str) -> Institution | None:
        if exam_system == UNKNOWN:
            found = [one for one in institutions if one.key == normal_institution(institution)]
            return found[0] if len(found) == 1 else None
        tenant = tenant_key(institution, exam_system)
        return next((one for one in institutions if one.tenant == tenant), None)

    def _read(self) -> None:
        told, self._problems, institutions = self._problems, {}, {}
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
            if told.get(key) != problem:
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
        """The fields that name a row; `None`, and in sight, where one is no name."""
        if amiss := [field for field in fields if not isinstance(row.get(field), str) or not row[field].strip()]:
            self._problems[f"the row with _id {row['_id']}"] = f"lacks or misstates {', '.join(amiss)}"
            return None
        return tuple(row[field] for field in fields)

    def _institution(self, tenant: str, org: Document, environment: Document) -> Institution | None:
        # What an environment says of its own (addresses of a test system, say) goes before what the institution says.
        try:
            return Institution.model_validate({**org, **environment})
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
            self._problems[tenant] = f"not carried: configDB.orgs or KlageBegrunnelseEnvs lacks or misstates {fields}"
            return None


def _in_order(rows: Iterable[Document]) -> list[Document]:
    """In an order that does not depend on how the server stores them."""
    return sorted(rows, key=lambda row: str(row["_id"]))
