"""What all assets have in common: group, owner, and how old they may grow."""

from datetime import timedelta
from typing import Final

import dagster as dg

GROUP: Final = "begrunnelse"
OWNERS: Final = ("team:casebridge",)
FRESHNESS: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=3), fail_window=timedelta(hours=5))
"""The reconciliation materialises every asset each second hour; an older one means that nothing reconciles any more."""

FS_POOL: Final = "fs"
WISEFLOW_POOL: Final = "wiseflow"
"""One pool per outside system, so that backfills and synchronisations together do not crowd it (limits: `dagster.yaml`)."""
