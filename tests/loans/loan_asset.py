"""The asset `book_loans`: the overdue loans and their reminders."""

import dagster as dg

from assets.batch_metadata import batch_metadata
from assets.institutions import chosen_institutions
from assets.ownership import FRESHNESS, OWNERS
from assets.status_metadata import status_metadata
from casebridge.sources.source import EVERYTHING_NEW
from resources.wiring.process_resource import ProcessResource


@dg.asset(group_name="library", owners=OWNERS, kinds={"mongodb"}, freshness_policy=FRESHNESS)
def book_loans(process: ProcessResource) -> dg.MaterializeResult[None]:
    """Loans whose borrowers have a reminder. Materialising polls the library and handles the messages that are due."""
    wired = process.get()
    (source,) = next(one for one in wired.capabilities if one.name == "loans").sources
    wired.synchronisation.poll(source, chosen_institutions(wired, ()), EVERYTHING_NEW)
    batch = wired.synchronisation.run_batch(source.queues)
    return dg.MaterializeResult(metadata={**batch_metadata(batch), **status_metadata(wired)})
