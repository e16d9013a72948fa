"""`casebridge prepare`: what a database needs before its first use, and after each upgrade."""

from casebridge.messaging.queue.concurrent_claims import put_back
from command_line.output import notes
from command_line.process import this_process
from resources.wiring.process import Process


def prepare() -> None:
    """Create the indexes that are missing, and rename what earlier versions named otherwise. Safe to repeat and to break off."""
    with this_process() as process:
        prepare_queue(process)
        respell(process)
        process.storage.start_empty()
        notes.print(f"The database is ready ({process.stores.database.server_name()}).")
        if missing := process.storage.missing():
            notes.print(f"{len(missing)} migrations are left for `casebridge migrate` (docs/operating.md, Upgrade).")


def prepare_queue(process: Process) -> None:
    """Allow only one message of each case in `processing`, and create the indexes. Other processes may be at work meanwhile."""
    if returned := put_back(process.stores.database, process.stores.clock):
        notes.print(
            f"{returned} messages wait again: another one of their case was in work (casebridge.twice_at_work)."
        )
    process.ensure_indexes()


def respell(process: Process) -> None:
    """Correct names that an earlier version or another program wrote differently, whatever the storage version is."""
    if renamed := process.operators.rekeying.run():
        notes.print(f"{renamed} documents of earlier versions were brought under the names of this one.")
