"""Reads the metrics of a process as Prometheus does."""

import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import wait_until

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scraped:
    """One scrape: the text, and each sample by name and labels."""

    text: str
    samples: dict[str, dict[Labels, float]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        wanted = set(labels.items())
        return sum(value for found, value in self.samples.get(name, {}).items() if wanted <= found)

    def label_names(self) -> set[str]:
        return {name for samples in self.samples.values() for labels in samples for name, _ in labels}


def scrape(port: int) -> Scraped:
    """Scrape once. Raises `OSError` if nothing listens on the port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return Scraped(text, samples)


def scraped_when_open(port: int) -> Scraped:
    """Wait until the port is open, and scrape."""

    def scrape_if_open() -> Scraped | None:
        try:
            return scrape(port)
        except urllib.error.URLError:
            return None

    found = wait_until(scrape_if_open, f"port {port} is open")
    assert found is not None
    return found
