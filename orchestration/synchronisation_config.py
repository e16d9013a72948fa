"""The options of a synchronisation and of a reconciliation. Each is one flat form, which Dagster's launchpad shows."""

import dagster as dg
from pydantic import Field

from resources.config_numbers import AtLeastOneOrNone, HoursOrNone, Seconds

WAIT_SECONDS = 120.0
"""How long a synchronisation waits for the outcome: two minutes, as in the source system."""


class SyncConfig(dg.Config):
    """What an operator chooses for a synchronisation. Everything may be left as it is."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    reach_back_hours: HoursOrNone = Field(
        default=None, description="Read FS this far behind each watermark; empty: the overlap."
    )
    wait_seconds: Seconds = Field(default=WAIT_SECONDS, description="How long to wait for the requests' outcome.")
    limit: AtLeastOneOrNone = Field(
        default=None, description="Handle at most so many messages each way; empty means all that are due."
    )
    also_answered: bool = Field(default=False, description="Also look for changes of answers that FS has already.")


class ReconcileConfig(dg.Config):
    """What an operator chooses for a reconciliation: usually nothing."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    wait_seconds: Seconds = Field(default=WAIT_SECONDS, description="How long to wait for the requests' outcome.")
