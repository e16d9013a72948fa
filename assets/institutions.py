"""Which institutions a run is for."""

from collections.abc import Sequence

import dagster as dg

from casebridge.exams.institution import Institution
from resources.bridge import Bridge


def chosen_institutions(bridge: Bridge, keys: Sequence[str]) -> list[Institution]:
    """The active institutions with these keys; without keys all of them. Raises `Failure` for a key that is not active."""
    active = {institution.key: institution for institution in bridge.institutions.active()}
    if unknown := [key for key in keys if key not in active]:
        raise dg.Failure(
            f"Not active: {', '.join(unknown)}. Choose among {', '.join(active) or 'none'}, or activate the institution "
            "(docs/adding-an-institution.md).",
            allow_retries=False,
        )
    return [active[key] for key in keys] if keys else list(active.values())
