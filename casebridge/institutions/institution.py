"""An institution as the configuration database describes it: `configDB.orgs` joined with `oai.KlageBegrunnelseEnvs`.

Contract 11 describes the documents `[inferred]`. `institutions.register` reads them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from casebridge.institutions.source_code_template import DEFAULT_SOURCE_CODE, SourceCodeTemplate
from casebridge.personal_data import DomainModel
from casebridge.tenant import institution_name, normal_exam_system, normal_name, tenant_key


def _present(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


Name = Annotated[str, AfterValidator(normal_name), AfterValidator(_present)]
ExamSystemCode = Annotated[str, AfterValidator(normal_exam_system), AfterValidator(_present)]


class FsAccess(DomainModel):
    """How to reach FS-Digex for one institution. `credential_ref` names the secret's environment variables."""

    base_url: str = Field(alias="baseUrl")
    credential_ref: str = Field(alias="credentialRef")


class WiseflowAccess(DomainModel):
    """How to reach WISEflow for one licence, and the institution's settings for it."""

    base_url: str = Field(alias="baseUrl")
    license_id: int | None = Field(None, alias="licenseId")
    credential_ref: str = Field(alias="credentialRef")
    authentication: Literal["oauth2", "api_key"] = "oauth2"
    answer_state: Literal[2, 3] = Field(3, alias="answerState")
    """The WISEflow state from which an answer goes to FS: 3 accepted (default), 2 submitted (contract 6.1)."""
    show_justification: bool = Field(False, alias="showJustification")
    """Whether the student may see the answer in WISEflow when FS has it. WISEflow then sends an e-mail."""
    participants_endpoint: Literal["new", "old"] = Field("new", alias="participantsEndpoint")
    flow_search: Literal["sources", "sis_flows"] = Field("sources", alias="flowSearch")
    source_code: SourceCodeTemplate = Field(DEFAULT_SOURCE_CODE, alias="sourceCode")
    """How the source codes of the institution's flows are built."""


class Institution(DomainModel):
    """One institution in one environment on one exam system. Each is polled and paused by itself, and has its own lanes."""

    org_id: Name = Field(alias="orgId")
    name: str = Field(alias="navn")
    institusjonsnr: int
    env: Name
    exam_system: ExamSystemCode = Field(alias="examSystem")
    instance: str | None = None
    fs: FsAccess = Field(alias="digex")
    wiseflow: WiseflowAccess | None = None
    written: tuple[str, str, str] | None = None
    """Organisation, environment and exam system as the configuration spells them. Earlier versions used these in keys."""

    @property
    def realm(self) -> str:
        """The realm for user names without one in FS: the institution's domain, which is its `orgId` (contract 11)."""
        return self.org_id

    @property
    def key(self) -> str:
        """The name for operators and for Dagster's partitions, `uis.no/prod`. It is the same for all its exam systems."""
        return institution_name(self.org_id, self.env)

    @property
    def tenant(self) -> str:
        """The key of what is separate for each exam system, such as pause, lanes and clients: `uis.no/prod/WISEFLOW`."""
        return tenant_key(self.key, self.exam_system)

    def has(self, document: Mapping[str, Any]) -> bool:
        """Whether a document of the institution (a case, a message) belongs to this exam system."""
        stored = document.get("examSystem")
        return isinstance(stored, str) and normal_exam_system(stored) == self.exam_system
