"""`casebridge prepare`: what a database needs before its first use, and after each upgrade."""

from command_line.output import notes
from command_line.process import bridge_of_this_process


def prepare() -> None:
    """Create the indexes that are missing, and rename what earlier versions named otherwise. Safe to repeat and to break off."""
    with bridge_of_this_process() as bridge:
        bridge.database.ensure_indexes()
        if renamed := bridge.rekeying.run():
            notes.print(f"{renamed} documents of earlier versions were brought under the names of this one.")
        notes.print(f"The database is ready ({bridge.database.server_name()}).")
