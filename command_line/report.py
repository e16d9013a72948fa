"""Tells Dagster, in aggregate, what a listener did, so that the UI shows the truth and the event log stays small.

What was done is news: of a report that cannot be delivered it is dropped. How things stand is told again until it is delivered.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import requests

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.listener.outcome_counts import OutcomeCounts
from casebridge.messaging.queue.message import MessageStatus
from resources.wiring.process import Process

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 5.0
COUNTED_SECONDS: Final = 30.0


class DagsterReport:
    """One runless observation per asset and interval, by the web server's REST endpoint.

    Not a materialisation: Dagster takes the results of an asset's checks for outdated as soon as one follows them.
    """

    def __init__(self, process: Process, outcome_counts: OutcomeCounts) -> None:
        self._url = process.settings.dagster.url
        self._seconds = process.settings.dagster.report_seconds
        self._tally = outcome_counts
        self._process = process
        self._asset_of_queue = {name: queue.reported_as for name, queue in process.queues.items() if queue.reported_as}
        self._sent_at = time.monotonic()
        self._counted_at = float("-inf")
        self._totals: Mapping[str, int | float] = {}
        self._behind: set[str] = set()
        """Assets whose newest report tells totals from before what it reports, or that did not get there."""

    def send_if_due(self) -> None:
        if time.monotonic() - self._sent_at >= self._seconds:
            self.send()

    def send(self, *, is_last: bool = False) -> None:
        """Report what was done since the last time, if anything; the last report is counted anew, as no other follows.

        An asset whose totals were counted before its batch gets them once more when they are counted next: so the
        newest report tells the state.
        """
        self._sent_at = time.monotonic()
        outcomes = self._tally.take()
        if self._url is None:
            return
        done = {
            asset: metadata for queue, asset in self._asset_of_queue.items() if (metadata := _metadata(outcomes, queue))
        }
        if not done and not self._behind:
            return
        is_counted = self._count(anew=is_last)
        told = done | {asset: {} for asset in self._behind - set(done) if is_counted}
        for asset, metadata in told.items():
            if self._post(asset, {**metadata, **self._totals}) and is_counted:
                self._behind.discard(asset)
            else:
                self._behind.add(asset)

    def _count(self, *, anew: bool) -> bool:
        """How things stand, counted at most once in `COUNTED_SECONDS`: counting reads all cases. Whether it was counted now."""
        if not anew and time.monotonic() - self._counted_at < COUNTED_SECONDS:
            return False
        try:
            self._totals = self._process.operators.totals.of(self._process.operators.status.read())
        except Exception as error:  # noqa: BLE001 what was done is told all the same
            if not is_away(error):
                log_defect(error)
            return False
        self._counted_at = time.monotonic()
        return True

    def _post(self, asset: str, metadata: Mapping[str, int | float | str]) -> bool:
        """Whether Dagster took it."""
        body = {
            "asset_key": asset,
            "metadata": dict(metadata),
            "description": "Handled by a listener since its last report, and how things stand.",
        }
        try:
            requests.post(
                f"{self._url}/report_asset_observation/", json=body, timeout=ANSWER_SECONDS
            ).raise_for_status()
        except requests.RequestException as error:
            logger.info("Dagster did not take a report on %s: %s", asset, type(error).__name__)
            return False
        return True


def _metadata(outcomes: Counter[tuple[str, str, str, str]], queue: str) -> dict[str, int | str]:
    """Counts by status, and by code where messages failed."""
    statuses: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    institutions = set()
    for (of_queue, institution, status, code), messages in outcomes.items():
        if of_queue == queue:
            statuses[status] += messages
            institutions.add(institution)
            if code:
                codes[code] += messages
    if not statuses:
        return {}
    return {
        "handled": sum(statuses.values()),
        "processed": statuses[MessageStatus.PROCESSED.value],
        "failed": statuses[MessageStatus.FAILED.value],
        "set_aside": statuses[MessageStatus.DEAD.value],
        "institutions": len(institutions),
        "codes": ", ".join(f"{code}: {messages}" for code, messages in codes.most_common(10)) or "none",
        "driver": "listener",
    }
