"""What all assets have in common: group, owners, freshness policy and pools."""

from datetime import timedelta
from typing import Final

import dagster as dg

GROUP: Final = "begrunnelse"
OWNERS: Final = ("team:casebridge",)
FRESHNESS: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=3), fail_window=timedelta(hours=5))
"""The reconciliation materialises every asset every two hours. An older asset means that it no longer runs."""

FS_POOL: Final = "fs"
WISEFLOW_POOL: Final = "wiseflow"
"""One pool for each outside system limits the backfills and synchronisations that use it at once (limits: `dagster.yaml`)."""
