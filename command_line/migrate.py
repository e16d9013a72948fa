"""`casebridge migrate`: brings stored documents of earlier releases into the form that this one writes."""

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from casebridge.storage.migration import Migration, Progress
from command_line.output import notes
from command_line.prepare import prepare_queue, respell
from command_line.process import bridge_of_this_process
from resources.wiring.bridge import Bridge


def migrate() -> None:
    """Prepare the database, then run the migrations that it lacks. Safe to repeat and to break off.

    Stop every process of the older release first: while one is at work this command refuses, and changes nothing.
    """
    with bridge_of_this_process() as bridge:
        bridge.storage.refuse_older_processes()
        prepare_queue(bridge)
        done = _migrate(bridge)
        for migration in done:
            notes.print(f"Migration {migration.number} is done: {migration.name} ({', '.join(migration.collections)}).")
        respell(bridge)
        notes.print(f"The database has storage version {bridge.storage.version.supported}.")


def _migrate(bridge: Bridge) -> tuple[Migration, ...]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=notes, transient=True) as bars:
        tasks = {
            migration.number: bars.add_task(f"{migration.number}: {migration.name}", total=None)
            for migration in bridge.storage.missing()
        }

        def show(migration: Migration, progress: Progress) -> None:
            bars.update(tasks[migration.number], completed=progress.done, total=progress.total)

        return bridge.storage.migrate(show)
