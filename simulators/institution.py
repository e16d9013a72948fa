"""An institution as FS and WISEflow know it: its numbers, its credentials, and the settings of its licence.

The behaviour of the servers is in ``fs_digex`` and ``wiseflow``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AuthKind = Literal["oauth2", "api_key"]


@dataclass(slots=True)
class Settings:
    """What differs between WISEflow licences and must be configured for each institution."""

    answer_state: Literal[2, 3] = 3
    """The state in which an answer counts: 3 if the flows accept answers by themselves, 2 if they stop at the submission."""
    show_justification: bool = False
    participants_endpoint: Literal["new", "old"] = "new"
    flow_search: Literal["sources", "sis_flows"] = "sources"

    @property
    def accepts_by_itself(self) -> bool:
        """Whether the flows accept a submitted answer without a manager."""
        return self.answer_state == 3

    def as_json(self) -> dict[str, Any]:
        return {
            "answer_state": self.answer_state,
            "show_justification": self.show_justification,
            "participants_endpoint": self.participants_endpoint,
            "flow_search": self.flow_search,
        }


@dataclass(slots=True)
class Student:
    """A person in FS who is also a user in WISEflow."""

    personlopenr: int
    brukernavn: str
    first_name: str
    last_name: str
    user_id: int


@dataclass(slots=True)
class Institution:
    """One customer of both FS and WISEflow."""

    org_id: str
    name: str
    institusjonsnr: int
    env: str
    instance: str
    fs_username: str
    fs_password: str
    license_id: int
    auth: AuthKind
    client_id: str | None
    client_secret: str | None
    api_key: str | None
    settings: Settings
    fs_credentials_valid: bool = True
    wiseflow_credentials_valid: bool = True
    students: list[Student] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What an operator gets to know when the institution is connected. The credentials are simulated."""
        return {
            "orgId": self.org_id,
            "navn": self.name,
            "institusjonsnr": self.institusjonsnr,
            "env": self.env,
            "instance": self.instance,
            "fs": {"username": self.fs_username, "password": self.fs_password},
            "wiseflow": {
                "licenseId": self.license_id,
                "auth": self.auth,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "api_key": self.api_key,
            },
            "settings": self.settings.as_json(),
        }
