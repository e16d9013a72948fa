"""Reports to Dagster what a listener did, as sums, so that the UI is right and Dagster's event log stays small.

A report has two parts:

- What was done since the last report. If the report cannot be delivered, this part is dropped.
- The totals of the installation. They are sent again until they are delivered.
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
    """Sends one observation without a run for each asset and interval, to the REST endpoint of Dagster's web server.

    It sends no materialisations: after a materialisation, Dagster treats the results of the asset's checks as outdated.
    """

    def __init__(self, process: Process, outcome_counts: OutcomeCounts) -> None:
        self._url = process.settings.dagster.url
        self._seconds = process.settings.dagster.report_seconds
        self._outcome_counts = outcome_counts
        self._process = process
        self._asset_of_queue = {name: queue.reported_as for name, queue in process.queues.items() if queue.reported_as}
        self._sent_at = time.monotonic()
        self._counted_at = float("-inf")
        self._totals: Mapping[str, int | float] = {}
        self._behind: set[str] = set()
        """Assets whose newest report was not delivered, or has totals that were counted before its batch."""

    def send_if_due(self) -> None:
        if time.monotonic() - self._sent_at >= self._seconds:
            self.send()

    def send(self, *, is_last: bool = False) -> None:
        """Report what was done since the last report, if anything.

        An asset whose totals were counted before its batch gets new totals when they are counted next, so that its newest
        report is right. For the last report (`is_last`) they are counted at once, because no report follows.
        """
        self._sent_at = time.monotonic()
        outcomes = self._outcome_counts.take()
        if self._url is None:
            return
        done = {
            asset: metadata for queue, asset in self._asset_of_queue.items() if (metadata := _metadata(outcomes, queue))
        }
        if not done and not self._behind:
            return
        is_counted = self._count(anew=is_last)
        reports = done | {asset: {} for asset in self._behind - set(done) if is_counted}
        for asset, metadata in reports.items():
            if self._post(asset, {**metadata, **self._totals}) and is_counted:
                self._behind.discard(asset)
            else:
                self._behind.add(asset)

    def _count(self, *, anew: bool) -> bool:
        """Count the totals, at most once in `COUNTED_SECONDS`, because this reads all cases. Return whether they were counted."""
        if not anew and time.monotonic() - self._counted_at < COUNTED_SECONDS:
            return False
        try:
            self._totals = self._process.operators.totals.of(self._process.operators.status.read())
        except Exception as error:  # noqa: BLE001 what was done is reported all the same
            if not is_away(error):
                log_defect(error)
            return False
        self._counted_at = time.monotonic()
        return True

    def _post(self, asset: str, metadata: Mapping[str, int | float | str]) -> bool:
        """Send a report on an asset. Return whether Dagster accepted it."""
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
    """The counts of a queue by status, and by code for messages that failed. Empty if no message was handled."""
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
