"""The environment that a process serves (`CASEBRIDGE_ENVIRONMENT`). Documents of other environments are left alone.

Several environments may share a database. Each process claims, probes credentials and delivers only for its own environment.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from bson import Regex

from casebridge.tenant import UNKNOWN, environment_of, normal_name


@dataclass(frozen=True)
class ServedEnvironment:
    """One environment, or with `None` all of them. Documents without an environment belong to every process."""

    env: str | None = None

    @classmethod
    def of(cls, setting: str | None) -> "ServedEnvironment":
        """The environment of the setting. Empty means all."""
        return cls(normal_name(setting or "") or None)

    def serves(self, institution: object) -> bool:
        """Whether the documents of this institution (`uis.no/prod`) may be handled by this process."""
        env = environment_of(institution)
        return self.env is None or env is None or env == self.env

    def selection(self) -> dict[str, Any]:
        """The same as a filter for documents that have their environment in `env`.

        It matches all documents that do not name another environment, in any spelling. A value that is not a text names none.
        `$or` is not used: with it some servers do not use the index, and read every document.
        """
        if self.env is None:
            return {}
        return {"env": {"$not": Regex(rf"^(?!\s*(?:{re.escape(self.env)}|{UNKNOWN})\s*$)", "i")}}


EVERY_ENVIRONMENT: Final = ServedEnvironment()
