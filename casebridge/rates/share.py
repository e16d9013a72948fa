"""The share that this process has of one budget: how much, for how long, and what it claims next.

Each process judges by its own monotonic clock whether another one is alive: a claim whose revision stays the same for longer than
a lease and some slack was not renewed. Clocks are never compared, so a wrong clock cannot put a share in force twice.
"""

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from casebridge.rates.division import WHOLE, Claim, due_share, usual_share
from casebridge.rates.share_store import ClaimSet

SLACK_SECONDS: Final = 1.5
"""How much longer others respect a claim than its holder uses it.

It is longer than the vendors' shortest window. So the last calls of a dead process are over before others get its parts.
"""
PATIENT_ROUNDS: Final = 3
"""After so many rounds the others have had time to make room."""


@dataclass(frozen=True)
class Draft:
    """The new claims on the budget, to be written. `parts` are in force when they are written."""

    claims: tuple[Claim, ...]
    parts: int


class Share:
    """Thread-safe. `renew` runs one round for this share: it calls `draft` and `confirm`."""

    def __init__(
        self,
        key: str,
        holder: str,
        lease_seconds: float,
        round_seconds: float,
        renew: Callable[["Share"], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.key = key
        self.round_seconds = round_seconds
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._renew = renew
        self._monotonic = monotonic
        self._parts_in_use: Callable[[], int] = lambda: 0
        self._revisions = itertools.count(1)
        self._lock = threading.Lock()
        self._growing = threading.Lock()
        self._parts = 0
        self._even = WHOLE
        self._valid_until = -math.inf
        self._written_at = -math.inf
        self._used_at = -math.inf
        self._claimed_at = -math.inf
        self._asked_at = -math.inf
        self._short_at = -math.inf
        self._short_since = -math.inf
        self._revisions_read: dict[str, tuple[str, float]] = {}

    def measure_by(self, parts_in_use: Callable[[], int]) -> None:
        """`parts_in_use` returns the parts used within the vendor's windows. It is called after the share was lowered."""
        self._parts_in_use = parts_in_use

    def parts(self) -> int:
        """The parts that may be used now; 0 if the lease has ended. The call counts as a use of the share."""
        with self._lock:
            self._used_at = self._monotonic()
        return self.parts_in_force

    @property
    def parts_in_force(self) -> int:
        """The same as `parts`, but it does not count as a use."""
        with self._lock:
            return self._parts if self._monotonic() < self._valid_until else 0

    def grow_beyond(self, parts: int) -> bool:
        """Try to get more than `parts`, which were not enough. Returns whether the share is larger now.

        Claims the share if it is not in force, else asks for more. Each is done at most once a round.
        """
        with self._growing:
            if self.parts() > parts:
                return True
            now = self._monotonic()
            asked_at = self._note_shortage(now) if self.is_held else self._note_claim(now)
            if now - asked_at < self.round_seconds:
                return False
            self._renew(self)
            return self.parts() > parts

    def may_grow(self) -> bool:
        """Whether waiting for a round may help, because others may still make room."""
        now = self._monotonic()
        with self._lock:
            return self._parts < WHOLE and now - self._short_since < PATIENT_ROUNDS * self.round_seconds

    @property
    def is_small(self) -> bool:
        """Whether it is smaller than an equal share. Then others were asked to make room, or will lose their shares soon."""
        now = self._monotonic()
        with self._lock:
            return now >= self._valid_until or self._parts < self._even

    @property
    def is_in_use(self) -> bool:
        with self._lock:
            return self._monotonic() - self._used_at < self._lease_seconds

    @property
    def is_held(self) -> bool:
        with self._lock:
            return self._monotonic() < self._valid_until

    def draft(self, claim_set: ClaimSet, *, leaving: bool = False) -> Draft | None:
        """The draft to write into `claim_set`, which was just read. `None` if nothing has changed and the lease is recent.

        From now on no more is used than the draft allows, even if it is never written.
        """
        now = self._monotonic()
        others = tuple(
            claim for claim in claim_set.claims if claim.holder != self._holder and self._is_renewed(claim, now)
        )
        wants_more, parts = self._wanted(others, now, leaving=leaving)
        with self._lock:
            self._parts = min(self._parts, parts)
            self._even = WHOLE // (len(others) + 1)
        # Calls from before the share was lowered still count in the vendor's windows. Their parts are claimed until then.
        free = WHOLE - sum(claim.parts for claim in others)
        claimed = min(free, max(parts, self._parts_in_use()))
        before = next((claim for claim in claim_set.claims if claim.holder == self._holder), None)
        if leaving and not claimed:
            return None if before is None else Draft(others, 0)
        mine = Claim(self._holder, claimed, wants_more, str(next(self._revisions)))
        is_tidy = len(others) + (before is not None) == len(claim_set.claims)
        if before is not None and is_tidy and not leaving and self._is_written(before, mine, parts):
            return None
        return Draft((*others, mine), parts)

    def confirm(self, draft: Draft, began: float) -> None:
        """Put a draft in force that was written. Its round began at `began`, on the monotonic clock."""
        with self._lock:
            self._parts = draft.parts
            self._written_at = began
            self._valid_until = began + self._lease_seconds if draft.parts else -math.inf

    def _wanted(self, others: tuple[Claim, ...], now: float, *, leaving: bool) -> tuple[bool, int]:
        if leaving:
            return False, 0
        with self._lock:
            wants_more = now - self._short_at < self._lease_seconds
        parts = due_share(others, wants_more=wants_more)
        if not wants_more and parts < usual_share(len(others) + 1):
            wants_more, parts = True, due_share(others, wants_more=True)
        return wants_more, parts

    def _is_written(self, before: Claim, now: Claim, parts: int) -> bool:
        """Whether this claim is already written, and so recently that the lease need not be renewed."""
        with self._lock:
            is_in_force = parts == self._parts and self._monotonic() - self._written_at < self._lease_seconds / 3
        return is_in_force and (before.parts, before.wants_more) == (now.parts, now.wants_more)

    def _note_claim(self, now: float) -> float:
        """Note a claim if a round has passed since the last one. Returns the time of the last one."""
        before = self._claimed_at
        if now - before >= self.round_seconds:
            self._claimed_at = now
        return before

    def _note_shortage(self, now: float) -> float:
        """Note that the share is too small; also that more is asked for, if a round has passed since the last time.

        Returns when more was last asked for.
        """
        with self._lock:
            if now - self._short_at > self._lease_seconds:
                self._short_since = now
            self._short_at = now
        before = self._asked_at
        if now - before >= self.round_seconds:
            self._asked_at = now
        return before

    def _is_renewed(self, claim: Claim, now: float) -> bool:
        """Whether the holder has renewed the claim within the lease and the slack, as far as this process has seen."""
        revision, since = self._revisions_read.get(claim.holder, ("", now))
        if revision != claim.revision:
            since = now
            self._revisions_read[claim.holder] = (claim.revision, now)
        return now - since <= self._lease_seconds + SLACK_SECONDS
