"""Which environment a process serves (`CASEBRIDGE_ENVIRONMENT`): what belongs to another one is left alone.

Several environments may share a database. Claims, trials of credentials and deliveries of each process are those of its own one.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from bson import Regex

from casebridge.tenant import UNKNOWN, environment_of, normal_name


@dataclass(frozen=True)
class ServedEnvironment:
    """One environment, or with `None` all of them. What names no environment is anybody's."""

    env: str | None = None

    @classmethod
    def of(cls, setting: str | None) -> "ServedEnvironment":
        """As the setting says; empty means all."""
        return cls(normal_name(setting or "") or None)

    def serves(self, institution: object) -> bool:
        """Whether what belongs to this institution (`uis.no/prod`) may be touched: claimed, tried, delivered, told."""
        env = environment_of(institution)
        return self.env is None or env is None or env == self.env

    def selection(self) -> dict[str, Any]:
        """The same for a query of documents that have their environment in `env`.

        All that does not name another one, in whatever spelling; what is no text names none. Not by `$or`: some servers then
        pass over the index and read every document.
        """
        if self.env is None:
            return {}
        return {"env": {"$not": Regex(rf"^(?!\s*(?:{re.escape(self.env)}|{UNKNOWN})\s*$)", "i")}}


EVERY_ENVIRONMENT: Final = ServedEnvironment()
