"""The result of a poll of FS or WISEflow as metadata: counts, and institutions that failed. It has no personal data."""

from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from casebridge.bounded import cut_note
from casebridge.errors import CaseError
from casebridge.operators.synchronisation import PollReport
from casebridge.sources.polling import PollOutcome

ROWS: Final = 20
"""The most rows of a table: metadata is stored in Dagster's database and shown in every operator's browser."""

Metadata = dict[str, dg.MetadataValue]


def poll_metadata(outcomes: Sequence[PollOutcome]) -> Metadata:
    """Counts that Dagster can plot over time, a table of institutions, and what to do about institutions that failed."""
    report = PollReport.of(outcomes)
    metadata: Metadata = {
        "seen": dg.MetadataValue.int(report.seen),
        "accepted": dg.MetadataValue.int(report.accepted),
        "known": dg.MetadataValue.int(report.known),
        "institutions": dg.MetadataValue.int(report.institutions),
        "institutions_skipped": dg.MetadataValue.int(report.skipped),
        "institutions_failed": dg.MetadataValue.int(len(report.failed)),
        **{name: dg.MetadataValue.int(count) for name, count in sorted(report.counts.items())},
    }
    if outcomes:
        metadata |= {"by_institution": _table(outcomes), **cut("by_institution", len(outcomes), "`casebridge status`")}
    if report.failed:
        metadata["failures"] = dg.MetadataValue.md(_failures(outcomes))
    return metadata


def named_of(names: Sequence[str], found: int) -> str:
    """These names, and how many more were `found`. `none` if there are none."""
    more = f" and {found - len(names)} more" if found > len(names) else ""
    return f"{', '.join(names)}{more}" or "none"


def cut(table: str, found: int, narrower: str) -> Metadata:
    """A note that a table was cut to `ROWS` rows, with a hint how to see the rest. Empty if the table is complete."""
    note = cut_note(ROWS, found, narrower)
    return {f"{table}_cut": dg.MetadataValue.md(note)} if note else {}


def raise_if_all_failed(source: str, outcomes: Sequence[PollOutcome]) -> None:
    """Raises `Failure` with causes and next actions if all institutions failed: that is an outage, not an empty result."""
    if PollReport.of(outcomes).all_failed:
        raise dg.Failure(
            f"{source} could not be read for any institution. {error_summary(outcomes)}",
            metadata=poll_metadata(outcomes),
            allow_retries=False,
        )


def error_summary(outcomes: Sequence[PollOutcome]) -> str:
    """Each distinct code once, with one cause and its next action."""
    return " ".join(
        f"[{code}, {len(institutions)} institutions] {error.cause} Next: {error.next_action}"
        for code, (error, institutions) in _by_code(outcomes).items()
    )


def _by_code(outcomes: Sequence[PollOutcome]) -> Mapping[str, tuple[CaseError, list[str]]]:
    groups: dict[str, tuple[CaseError, list[str]]] = {}
    for outcome in outcomes:
        if outcome.error is not None:
            groups.setdefault(outcome.error.code, (outcome.error, []))[1].append(outcome.tenant)
    return groups


def _failures(outcomes: Sequence[PollOutcome]) -> str:
    lines = []
    for code, (error, institutions) in _by_code(outcomes).items():
        named = named_of(institutions[:ROWS], len(institutions))
        lines.append(f"- **{code}** ({len(institutions)}: {named}): {error.cause} *Next:* {error.next_action}")
    return "\n".join(lines)


def _table(outcomes: Sequence[PollOutcome]) -> dg.TableMetadataValue:
    """The institutions that need attention first, then the busiest."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.error is None, -len(outcome.accepted), outcome.institution))
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "institution": outcome.institution,
                    "exam_system": outcome.exam_system,
                    "seen": outcome.seen,
                    "accepted": len(outcome.accepted),
                    "known": outcome.known,
                    "outcome": outcome.error.code if outcome.error else "passed over" if outcome.skipped else "read",
                }
            )
            for outcome in ordered[:ROWS]
        ]
    )
