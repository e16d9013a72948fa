"""The platform's own migrations. Those of a capability are in its folder. `resources/wiring` combines them."""

from collections.abc import Iterator
from typing import Final

from casebridge.database import Database
from casebridge.messaging.queue.lanes import forget_old
from casebridge.messaging.queue.spelling import respell_in_batches
from casebridge.storage.migration import Migration, Progress


def _respell_names(database: Database) -> Iterator[Progress]:
    removed = forget_old(database.lanes)
    for step in respell_in_batches([database.messages, database.processed_messages, database.cases]):
        yield Progress(step.done, step.total, step.changed + removed)


MIGRATIONS: Final = (
    Migration(
        1,
        "Organisation, environment and exam system in their one spelling",
        ("meldingQ", "meldingQProcessed", "begrunnelser", "lanes"),
        _respell_names,
    ),
)
