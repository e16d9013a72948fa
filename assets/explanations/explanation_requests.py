"""Requests for explanations, read from FS into the inbox."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from assets.explanations.outside_systems import FS_REQUESTS
from assets.institutions import chosen_institutions
from assets.ownership import FRESHNESS, FS_POOL, GROUP, OWNERS
from assets.poll_metadata import raise_if_all_failed
from assets.status_metadata import polled_metadata
from casebridge.settings import FsSettings
from casebridge.sources.source import PollRange
from resources.config_numbers import HoursOrNone
from resources.wiring.explanations import Explanations
from resources.wiring.process_resource import ProcessResource


class ReadConfig(dg.Config):
    """Which institutions are read, and how far back."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    reach_back_hours: HoursOrNone = Field(
        default=None, description="Read this far behind each watermark, instead of the overlap."
    )
    reconcile: bool = Field(default=False, description="Reach back CASEBRIDGE_FS__RECONCILE_OVERLAP_DAYS.")

    def reach_back(self, settings: FsSettings) -> timedelta | None:
        """An explicit number of hours overrides `reconcile`. `None` means the ordinary overlap."""
        if self.reach_back_hours is not None:
            return timedelta(hours=self.reach_back_hours)
        return timedelta(days=settings.reconcile_overlap_days) if self.reconcile else None


@dg.asset(
    deps=[FS_REQUESTS],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"fs", "mongodb"},
    tags={"casebridge/side": "inbox"},
    pool=FS_POOL,
    freshness_policy=FRESHNESS,
)
def explanation_requests(config: ReadConfig, process: ProcessResource) -> dg.MaterializeResult[None]:
    """Requests that FS holds, each new or changed one accepted once into the inbox (MeldingQ).

    Materialising reads what changed since each institution's watermark. It can be repeated at any time. An institution that
    fails is named and does not stop the others; if none can be read, the materialisation fails.
    """
    wired = process.get()
    institutions = chosen_institutions(wired, config.institutions)
    outcomes = wired.capability(Explanations).requests.poll(
        institutions, PollRange(reach_back=config.reach_back(wired.settings.fs))
    )
    raise_if_all_failed("FS", outcomes)
    return dg.MaterializeResult(metadata=polled_metadata(wired, outcomes))
