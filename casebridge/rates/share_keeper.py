"""The shares of one process. They are claimed when first needed, renewed in the background, and given up when not used.

- A round reads the claims on all budgets with one query, and writes all changes at once.
- While no calls are made, there are no rounds and no thread.
- While the database is away, a share lasts until its lease ends. After that no calls are made until the database is back.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.rates.share import Draft, Share
from casebridge.rates.share_store import ShareStore

logger = logging.getLogger(__name__)

ROUNDS_A_LEASE: Final = 5
TRIES: Final = 5
"""How often a round is tried if another process writes first."""


class ShareKeeper:
    """Thread-safe. `monotonic` and `in_background` are for tests: their own clock, and rounds only when they call `renew`."""

    def __init__(
        self,
        store: ShareStore,
        lease_seconds: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        in_background: bool = True,
    ) -> None:
        self.holder = uuid.uuid4().hex
        self._store = store
        self._lease_seconds = lease_seconds
        self._round_seconds = lease_seconds / ROUNDS_A_LEASE
        self._monotonic = monotonic
        self._in_background = in_background
        self._lock = threading.Lock()
        self._round = threading.Lock()
        self._closing = threading.Event()
        self._shares: dict[str, Share] = {}
        self._thread: threading.Thread | None = None

    def share(self, key: str) -> Share:
        """The share of the budget `key`. It is claimed when its parts are first needed."""
        with self._lock:
            if key not in self._shares:
                self._shares[key] = Share(
                    key, self.holder, self._lease_seconds, self._round_seconds, self._renew_one, self._monotonic
                )
            return self._shares[key]

    def renew(self) -> bool:
        """One round for every share that is held. Shares that are not used are given up. Returns whether any is in use."""
        with self._lock:
            shares = [share for share in self._shares.values() if share.is_held]
        used = [share for share in shares if share.is_in_use]
        self._do(used)
        self._do([share for share in shares if share not in used], leaving=True)
        return bool(used)

    def close(self) -> None:
        """Give every share up. If this cannot be written, other processes get the parts when the leases end."""
        self._closing.set()
        with self._lock:
            shares, thread = list(self._shares.values()), self._thread
        if thread is not None:
            thread.join()
        self._do([share for share in shares if share.is_held], leaving=True)

    def _renew_one(self, share: Share) -> None:
        if self._closing.is_set():
            return
        self._do([share])
        with self._lock:
            if self._in_background and self._thread is None and not self._closing.is_set():
                thread = threading.Thread(target=self._renew_until_closed, name="rate shares", daemon=True)
                thread.start()
                self._thread = thread

    def _renew_until_closed(self) -> None:
        while not self._closing.wait(self._round_seconds):
            try:
                is_needed = self.renew()
            except BaseException as error:  # noqa: BLE001 no defect may end the thread; the leases end by themselves
                log_defect(error)
                continue
            with self._lock:
                # A share that was claimed meanwhile relies on this thread.
                if not is_needed and not any(share.is_held for share in self._shares.values()):
                    self._thread = None
                    return

    def _do(self, shares: Sequence[Share], *, leaving: bool = False) -> None:
        """One round. If another process wrote first, it is tried again with the new claims."""
        with self._round:
            for _ in range(TRIES):
                if not shares:
                    return
                try:
                    shares = self._try(shares, leaving=leaving)
                except BaseException as error:  # noqa: BLE001 a call that needs its share must not fail because of the budget
                    if not is_away(error):
                        log_defect(error)
                    logger.warning("shares of the vendors' rates wait for the database (%s)", type(error).__name__)
                    return

    def _try(self, shares: Sequence[Share], *, leaving: bool) -> Sequence[Share]:
        """One try. Returns the shares whose budgets another process wrote first."""
        began = self._monotonic()
        claim_sets = self._store.read([share.key for share in shares])
        drafts: dict[Share, Draft] = {}
        for share in shares:
            draft = share.draft(claim_sets[share.key], leaving=leaving)
            if draft is not None:
                drafts[share] = draft
        written = self._store.write(claim_sets, {share.key: draft.claims for share, draft in drafts.items()})
        for share, draft in drafts.items():
            if share.key in written:
                share.confirm(draft, began)
        return [share for share in drafts if share.key not in written]
