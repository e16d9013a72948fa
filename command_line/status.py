"""`casebridge status`: the present state of the installation, and what needs a person."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.status import InstitutionStatus, Status
from command_line.output import ExitCode, panel, print_json, results, styled, table
from command_line.process import this_process

if TYPE_CHECKING:  # the module imports kafka-python, which is needed only where Kafka is used
    from resources.kafka.lag import KafkaStatus


SHORT: Final = {"requested": "asked", "dispatched": "sent", "registered": "done"}
"""The counts that have a column in a terminal of eighty characters, with the names there. Other counts are shown as text."""


def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Show the queue, each institution, and what failed with the next action. Exit code 4: a person is needed."""
    with this_process() as process:
        found = process.operators.status.read()
        kafka = process.kafka.status()
    if as_json:
        print_json({**found.plain(), "kafka": kafka.plain() if kafka else None})
    else:
        show_status(found)
        if kafka:
            show_kafka(kafka)
    if found.dead or any(row.paused for row in found.institutions):
        raise typer.Exit(ExitCode.ATTENTION)


def show_status(found: Status) -> None:
    """Show the tables, the failures with their next actions, and one line of totals. Nothing of it is personal data."""
    results.print(
        table(
            "Queue",
            ("queue", "status", "messages", "oldest (UTC)"),
            ((row.queue, row.status, row.messages, row.oldest) for row in found.depths),
        )
    )
    shown = [name for name in dict.fromkeys(name for row in found.institutions for name in row.cases) if name in SHORT]
    columns = ("institution", *(SHORT[name] for name in shown), "aside", "queued", "dead", "also")
    rows = (
        (row.institution, *(row.cases[name] for name in shown), row.set_aside, row.waiting, row.dead, _also(row))
        for row in found.institutions
    )
    results.print(table("Institutions", columns, rows))
    for one in found.tables:
        results.print(table(one.title, one.columns, one.rows))
    for key, problem in sorted(found.configuration.items()):
        results.print(f"Configuration of {key}: {problem}.")
    for group in found.failures:
        is_dead = group.status == MessageStatus.DEAD
        waits = "waits for you" if is_dead else "is tried again by itself"
        commands = f"\nThen: casebridge dead replay --code {group.code} (a dry run first)" if is_dead else ""
        body = styled(
            "{cause}\n[bold]Next:[/] {action}\n{institutions}\nCases: {cases}{commands}",
            cause=group.cause,
            action=group.next_action,
            institutions=", ".join(sorted(group.institutions)),
            cases=", ".join(group.correlation_ids),
            commands=commands,
        )
        results.print(panel(f"{group.code}: {group.messages} {group.status}, {waits}", body))
    for row_id, why in found.unusable_mutes.items():
        results.print(f"slack-blacklists: the row {row_id} mutes nothing: {why}. Next: correct it or remove it.")
    oldest = "nothing waits" if found.oldest_pending_seconds is None else f"oldest {found.oldest_pending_seconds:.0f} s"
    if found.undelivered:
        results.print(
            f"{found.undelivered} messages have effects that cannot be delivered. Next: look in oai.meldingQ and "
            "oai.meldingQProcessed for the field undelivered; the alerts of the step deliver_effect say why."
        )
    results.print(
        f"{found.pending} pending ({oldest}), {found.dead} dead, {found.alerts_owed} alerts owed, "
        f"{found.listeners} listeners at work."
    )


def _also(row: InstitutionStatus) -> str:
    """The text of the column `also`: counts that are 0 for most institutions, and the reason of a pause."""
    few = {name: count for name, count in row.cases.items() if name not in SHORT} | {"discarded": row.discarded}
    counts = [f"{count} {what}" for what, count in few.items() if count]
    return ", ".join([*counts, f"paused: {row.paused}"] if row.paused else counts)


def show_kafka(kafka: "KafkaStatus") -> None:
    """Show how far the consumers are behind."""
    if kafka.away:
        results.print(f"Kafka: {kafka.away}. What comes there waits; the rest goes on. Next: {kafka.next_action}.")
        return
    columns = ("topic", "partition", "unread", "oldest unread (UTC)")
    rows = ((lag.topic, lag.partition, lag.unread, lag.oldest_unread) for lag in kafka.partitions)
    results.print(table("Kafka", columns, rows))
