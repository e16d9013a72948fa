"""The dashboard and the alert rules use only existing metrics and labels. Every metric is explained and shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, ProcessCollector

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.backlog import Waiting
from resources.telemetry.metrics import Metrics
from tests.support.commands import all_commands

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "observability.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "observability" / "grafana-dashboard.json").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "docs" / "observability" / "prometheus-rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
LANE = (("institution", "uis.no/prod"), ("queue", "wiseflow-begrunnelse"), ("system", "WISEFLOW"))
OF_PROMETHEUS = {"up"}
"""Metrics that the scraper adds itself."""
BY_THE_SCRAPER = {"instance", "job", "le"}
METRIC = re.compile(r"\b(?:casebridge|messaging|http|process|up)(?:_[a-z_]+)?\b(?=\s*[{\[)=<>,]|$| )")
LABELS = re.compile(r"(?:by|on|group_left)\s*\(([^)]*)\)")
MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!=|=)\s*\"")
COMMAND = re.compile(r"`casebridge ([a-z ]+)`")


class OneLane:
    """The reader of a queue with waiting messages in one lane."""

    def read(self) -> dict[tuple[str, str, str], Waiting]:
        return {("uis.no/prod", "wiseflow-begrunnelse", "WISEFLOW"): Waiting(1, 1, 1, 1.0)}


@pytest.fixture(scope="module")
def existing() -> dict[str, set[str]]:
    """Every sample that a process can export, with its labels."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    provider = MeterProvider(
        [PrometheusMetricReader(registry=registry, scope_info_enabled=False)], shutdown_on_exit=False
    )
    metrics = Metrics(provider.get_meter("casebridge"), registry, OneLane(), 1.0)  # type: ignore[arg-type]  # one of its methods
    for counts in (metrics.sent, metrics.consumed, metrics.lease_losses):
        counts.add(LANE)
    for status in (MessageStatus.PROCESSED, MessageStatus.FAILED, MessageStatus.DEAD, None):
        metrics.settled(status, LANE, "fs.http_500")
    metrics.handled(LANE)(0.1, "fs.http_500", None)
    metrics.called("FS", "uis.no/prod", "GET")(0.1, "500", 500)
    metrics.delivered(LANE)(0.1, "laas.http_500", None)
    samples: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    provider.shutdown()
    return samples


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_dashboard_and_rules_use_existing_metrics_and_labels(
    name: str, expression: str, existing: dict[str, set[str]]
) -> None:
    metrics = set(METRIC.findall(expression))
    assert metrics, expression
    assert metrics <= existing.keys() | OF_PROMETHEUS
    labels = {label.strip() for found in LABELS.findall(expression) for label in found.split(",") if label.strip()}
    labels |= set(MATCHER.findall(expression))
    assert labels <= set().union(*(existing.get(metric, set()) for metric in metrics)) | BY_THE_SCRAPER


def test_the_search_finds_metrics_and_labels() -> None:
    expression = 'sum by (queue, le) (rate(casebridge_queue_depth{code!=""}[5m])) > up{job="x"}'
    assert METRIC.findall(expression) == ["casebridge_queue_depth", "up"]
    assert LABELS.findall(expression) == ["queue, le"]
    assert MATCHER.findall(expression) == ["code", "job"]


def test_every_metric_is_shown_and_explained(existing: dict[str, set[str]]) -> None:
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    families = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in existing if not name.startswith(("process_", "target"))
    }
    for family in families:
        assert family in shown
        assert f"`{family}`" in PAGE


def test_each_panel_says_what_it_shows() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["description"].endswith(".") for panel in panels if "casebridge dead" not in panel["description"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "institution"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "action"}
    assert f"`{rule['alert']}`" in PAGE
    for command in COMMAND.findall(rule["annotations"]["action"]):
        assert command.split()[0] in all_commands()
