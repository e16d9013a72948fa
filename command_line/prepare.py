"""`casebridge prepare`: what a database needs before its first use, and after each upgrade."""

from casebridge.messaging.queue.concurrent_claims import put_back
from command_line.output import notes
from command_line.process import bridge_of_this_process
from resources.wiring.bridge import Bridge


def prepare() -> None:
    """Create the indexes that are missing, and rename what earlier versions named otherwise. Safe to repeat and to break off."""
    with bridge_of_this_process() as bridge:
        prepare_queue(bridge)
        respell(bridge)
        bridge.storage.start_empty()
        notes.print(f"The database is ready ({bridge.database.server_name()}).")
        if missing := bridge.storage.missing():
            notes.print(f"{len(missing)} migrations are left for `casebridge migrate` (docs/operating.md, Upgrade).")


def prepare_queue(bridge: Bridge) -> None:
    """One message in work for each case, and the indexes. May be done beside processes that are at work."""
    if returned := put_back(bridge.database, bridge.clock):
        notes.print(
            f"{returned} messages wait again: another one of their case was in work (casebridge.twice_at_work)."
        )
    bridge.database.ensure_indexes()


def respell(bridge: Bridge) -> None:
    """Names that an earlier version or another program spelled otherwise, whatever the storage version."""
    if renamed := bridge.rekeying.run():
        notes.print(f"{renamed} documents of earlier versions were brought under the names of this one.")
