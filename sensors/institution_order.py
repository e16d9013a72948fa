"""The order in which institutions are polled. The time of a tick is bounded, so each institution must be first now and then."""

from collections.abc import Collection, Sequence

from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome


def in_turn(institutions: Sequence[Institution], first: str | None) -> list[Institution]:
    """All institutions in order of their tenants, beginning with `first`, or with the next one if `first` no longer exists."""
    ordered = sorted(institutions, key=lambda institution: institution.tenant)
    later = [institution for institution in ordered if first is None or institution.tenant >= first]
    return later + ordered[: len(ordered) - len(later)]


def is_paused(outcome: PollOutcome, paused: Collection[str]) -> bool:
    """Whether the whole institution is paused, or only this exam system of it."""
    return outcome.tenant in paused or outcome.institution in paused


def next_first(outcomes: Sequence[PollOutcome], paused: Collection[str]) -> str | None:
    """The tenant that is first at the next tick: the first that was skipped, or else the second of this tick.

    So the order moves on with every tick, also past a slow institution. Paused institutions do not count as skipped.
    """
    polled = [outcome for outcome in outcomes if not is_paused(outcome, paused)]
    if not polled:
        return None
    missed = next((outcome for outcome in polled if outcome.skipped), None)
    return (missed or polled[1 % len(polled)]).tenant
