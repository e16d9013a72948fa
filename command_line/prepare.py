"""`casebridge prepare`: what a database needs before its first use, and after each upgrade."""

from command_line.output import notes
from command_line.process import bridge_of_this_process


def prepare() -> None:
    """Create the indexes that are missing. Safe to repeat; changes no document."""
    with bridge_of_this_process() as bridge:
        bridge.database.ensure_indexes()
        notes.print(f"The database is ready ({bridge.database.server_name()}).")
