"""`casebridge migrate`: converts the stored documents of earlier releases to the form that this release writes."""

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from casebridge.storage.migration import Migration, Progress
from command_line.output import notes
from command_line.prepare import prepare_queue, respell
from command_line.process import this_process
from resources.wiring.process import Process


def migrate() -> None:
    """Prepare the database, then run the migrations that it lacks. Safe to repeat and to break off.

    Stop every process of the older release first: while one is at work this command refuses, and changes nothing.
    """
    with this_process() as process:
        process.storage.refuse_older_processes()
        prepare_queue(process)
        done = _migrate(process)
        for migration in done:
            notes.print(f"Migration {migration.number} is done: {migration.name} ({', '.join(migration.collections)}).")
        respell(process)
        notes.print(f"The database has storage version {process.storage.version.supported}.")


def _migrate(process: Process) -> tuple[Migration, ...]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=notes, transient=True) as bars:
        tasks = {
            migration.number: bars.add_task(f"{migration.number}: {migration.name}", total=None)
            for migration in process.storage.missing()
        }

        def show(migration: Migration, progress: Progress) -> None:
            bars.update(tasks[migration.number], completed=progress.done, total=progress.total)

        return process.storage.migrate(show)
