"""Reads which institutions are active: `configDB.orgs` joined with `oai.KlageBegrunnelseEnvs`."""

import logging
import threading
import time
from collections.abc import Mapping

from pydantic import ValidationError

from casebridge.database import Database, Document
from casebridge.exams.institution import Institution

logger = logging.getLogger(__name__)


class InstitutionRegister:
    """Active institutions with active explanations, for one environment or all. Read again every `fresh_seconds`."""

    def __init__(self, database: Database, env: str | None, fresh_seconds: float = 15.0) -> None:
        self._orgs = database.orgs
        self._environments = database.environments
        self._env = env
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._institutions: dict[str, Institution] = {}
        self._unreadable: dict[str, str] = {}

    def active(self) -> list[Institution]:
        """The institutions to carry cases for, in order of their keys. An unreadable one does not stop the others."""
        with self._lock:
            if time.monotonic() - self._read_at > self._fresh_seconds:
                self._read()
            return [self._institutions[key] for key in sorted(self._institutions)]

    def get(self, key: str) -> Institution | None:
        """The institution of a message, read anew if it is not known."""
        found = {institution.key: institution for institution in self.active()}.get(key)
        if found is None:
            with self._lock:
                self._read()
                found = self._institutions.get(key)
        return found

    def unreadable(self) -> Mapping[str, str]:
        """Institutions whose configuration cannot be used, and which of its fields are to blame."""
        self.active()
        return self._unreadable

    def _read(self) -> None:
        selection: Document = {"begrunnelse": True}
        if self._env:
            selection["env"] = self._env
        environments = list(self._environments.find(selection))
        names = list({row["orgId"] for row in environments})
        orgs = {row["orgId"]: row for row in self._orgs.find({"orgId": {"$in": names}, "aktiv": True})}
        self._institutions, self._unreadable = {}, {}
        for row in environments:
            if row["orgId"] in orgs:
                self._add(orgs[row["orgId"]], row)
        self._read_at = time.monotonic()

    def _add(self, org: Document, environment: Document) -> None:
        # What an environment says of its own (addresses of a test system, say) goes before what the institution says.
        try:
            institution = Institution.model_validate({**org, **environment})
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
            key = f"{org['orgId']}/{environment.get('env')}"
            self._unreadable[key] = fields
            logger.error("%s is not carried: configDB.orgs or KlageBegrunnelseEnvs lacks or misstates %s", key, fields)  # noqa: TRY400 the fields say it all
            return
        self._institutions[institution.key] = institution
