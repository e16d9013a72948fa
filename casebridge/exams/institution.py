"""An institution as the configuration database describes it: `configDB.orgs` joined with `oai.KlageBegrunnelseEnvs`.

The documents' shapes are contract 11 `[inferred]`; reading them is in `institution_register`.
"""

from typing import Literal

from pydantic import Field

from casebridge.personal_data import DomainModel


class FsAccess(DomainModel):
    """How to reach FS-Digex for one institution. `credential_ref` names the secret's environment variables."""

    base_url: str = Field(alias="baseUrl")
    credential_ref: str = Field(alias="credentialRef")


class WiseflowAccess(DomainModel):
    """How to reach WISEflow for one licence, and the choices that an institution makes there."""

    base_url: str = Field(alias="baseUrl")
    license_id: int | None = Field(None, alias="licenseId")
    credential_ref: str = Field(alias="credentialRef")
    authentication: Literal["oauth2", "api_key"] = "oauth2"
    answer_state: Literal[2, 3] = Field(3, alias="answerState")
    """The WISEflow state from which an answer goes to FS: 3 accepted (default), 2 submitted (contract 6.1)."""
    show_justification: bool = Field(False, alias="showJustification")
    """Whether the student may see the answer in WISEflow once FS has it; WISEflow then sends an e-mail."""
    participants_endpoint: Literal["new", "old"] = Field("new", alias="participantsEndpoint")
    flow_search: Literal["sources", "sis_flows"] = Field("sources", alias="flowSearch")


class Institution(DomainModel):
    """One institution in one environment on one exam system: the unit that is polled, paused and backfilled."""

    org_id: str = Field(alias="orgId")
    name: str = Field(alias="navn")
    institusjonsnr: int
    env: str
    exam_system: str = Field(alias="examSystem")
    instance: str | None = None
    fs: FsAccess = Field(alias="digex")
    wiseflow: WiseflowAccess | None = None

    @property
    def realm(self) -> str:
        """The realm of user names that FS writes without one: the institution's domain, which is its `orgId` (contract 11)."""
        return self.org_id

    @property
    def key(self) -> str:
        """The name by which operators know it and Dagster partitions it: `uis.no/prod`."""
        return f"{self.org_id}/{self.env}"
