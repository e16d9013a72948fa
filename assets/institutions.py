"""Which institutions a run is for."""

from collections.abc import Sequence

import dagster as dg

from casebridge.institutions.institution import Institution
from resources.wiring.process import Process


def chosen_institutions(process: Process, keys: Sequence[str]) -> list[Institution]:
    """The active institutions with these names, on all their exam systems. Without names: all active institutions.

    Raises `Failure` for a name that is not active.
    """
    active = process.stores.institutions.active()
    names = sorted({institution.key for institution in active})
    chosen = {key: process.stores.institutions.named(key) for key in keys}
    if unknown := [key for key, found in chosen.items() if not found]:
        raise dg.Failure(
            f"Not active: {', '.join(unknown)}. Choose among {', '.join(names) or 'none'}, or activate the institution "
            "(docs/adding-an-institution.md).",
            allow_retries=False,
        )
    return [institution for found in chosen.values() for institution in found] if keys else active
