"""Whose turn it is: with a bounded time per tick, every institution must come first now and then."""

from collections.abc import Collection, Sequence

from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome


def in_turn(institutions: Sequence[Institution], first: str | None) -> list[Institution]:
    """All of them, in order of their keys, beginning with `first`, or with the one after it if it is gone."""
    ordered = sorted(institutions, key=lambda institution: institution.tenant)
    later = [institution for institution in ordered if first is None or institution.tenant >= first]
    return later + ordered[: len(ordered) - len(later)]


def is_paused(outcome: PollOutcome, paused: Collection[str]) -> bool:
    """Whether the whole institution is paused, or this exam system of it."""
    return outcome.tenant in paused or outcome.institution in paused


def next_first(outcomes: Sequence[PollOutcome], paused: Collection[str]) -> str | None:
    """Who is first next time: the first that did not get its turn, or else the second of this time.

    So the order moves on with every tick, past an institution that is slow. Paused ones never had a turn to miss.
    """
    polled = [outcome for outcome in outcomes if not is_paused(outcome, paused)]
    if not polled:
        return None
    missed = next((outcome for outcome in polled if outcome.skipped), None)
    return (missed or polled[1 % len(polled)]).tenant
