"""The platform's own migrations. A capability's stand in its own folder; `resources/wiring` puts them together."""

from typing import Final

from casebridge.operators.rekeying import respell_names
from casebridge.storage.migration import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        "Organisation, environment and exam system in their one spelling",
        ("meldingQ", "meldingQProcessed", "begrunnelser", "lanes"),
        respell_names,
    ),
)
