"""How many series a metric can have, which names are labels, and which cases are traced."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from casebridge.correlation_id import new_correlation_id
from casebridge.safe_names import ConfiguredNames, SafeNames
from casebridge.telemetry import NOBODY, NOTHING, observed_by, observer
from resources.telemetry.counts import MOST_SERIES, OVERFLOW, Counts
from resources.telemetry.durations import SECONDS, Durations
from resources.telemetry.labels import SafeLabels
from resources.telemetry.open_telemetry import OpenTelemetryObserver
from resources.telemetry.traces import Traces

CASES = 4000


def counted(reader: InMemoryMetricReader) -> dict[tuple[tuple[str, object], ...], float]:
    """The values of the only counter."""
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert isinstance(metric.data, Sum)
    return {tuple((point.attributes or {}).items()): point.value for point in metric.data.data_points}


def test_a_counter_has_a_bounded_number_of_series_and_loses_no_count() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counts = Counts(provider.get_meter("test"), "some.count", "{message}", "Some.")
    for number in range(MOST_SERIES + 10):
        counts.add((("code", f"code_{number}"),), 2)
    counts.add((("code", "code_0"),))

    found = counted(reader)
    provider.shutdown()

    assert len(found) == MOST_SERIES + 1
    assert found[OVERFLOW] == 20
    assert found[(("code", "code_0"),)] == 3


def test_a_histogram_has_a_bounded_number_of_series_and_loses_no_duration() -> None:
    registry = CollectorRegistry()
    durations = Durations(registry, "some.work.duration", "Some.", ("institution", "code"))
    for number in range(MOST_SERIES + 10):
        durations.record(0.3, (("code", f"code_{number}"),))
    durations.record(20, (("institution", "uis.no/prod"), ("code", "code_0")))  # one series too many
    durations.record(0.001, (("code", "code_0"),))

    samples: dict[str, list[Sample]] = defaultdict(list)
    for family in registry.collect():
        for sample in family.samples:
            samples[sample.name].append(sample)
    assert set(samples) == {f"some_work_duration_seconds_{kind}" for kind in ("bucket", "count", "sum")}
    counts = {(sample.labels["code"], sample.labels["otel_metric_overflow"]): sample.value
              for sample in samples["some_work_duration_seconds_count"]}  # fmt: skip
    assert len(counts) == MOST_SERIES + 1
    assert counts["code_0", ""] == 2
    assert counts["", "true"] == 11
    overflow = [
        sample for sample in samples["some_work_duration_seconds_bucket"] if sample.labels["otel_metric_overflow"]
    ]
    assert {sample.labels["le"]: sample.value for sample in overflow} == {
        **{str(bound): float(bound >= 0.3) * 10 for bound in SECONDS}, "+Inf": 11,
    }  # fmt: skip


def test_only_configured_names_are_labels_even_if_configured_later() -> None:
    configured = ConfiguredNames(frozenset({"uis.no/prod"}), frozenset({"uis.no"}), frozenset({"prod"}))
    labels = SafeLabels(SafeNames(lambda: configured, frozenset({"wiseflow-begrunnelse"}), frozenset()))

    assert dict(labels.of("Kari Nordmann/prod", "HEMMELIG", "HEMMELIG")) == {
        "institution": "unknown/prod", "queue": "unknown", "system": "unknown",
    }  # fmt: skip
    configured = ConfiguredNames(frozenset({"uis.no/prod", "uib.no/prod"}), exam_systems=frozenset({"WISEFLOW"}))
    assert dict(labels.of("uib.no/prod", "wiseflow-begrunnelse", "WISEFLOW")) == {
        "institution": "uib.no/prod", "queue": "wiseflow-begrunnelse", "system": "WISEFLOW",
    }  # fmt: skip


def test_with_the_database_away_a_name_is_unknown_and_nothing_is_raised() -> None:
    def away() -> ConfiguredNames:
        raise ConnectionError

    labels = SafeLabels(SafeNames(away, frozenset(), frozenset()))
    assert set(dict(labels.of("uis.no/prod", "queue", "WISEFLOW")).values()) == {"unknown"}


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.25, 1.0])
def test_the_sample_has_the_size_that_is_asked_for(ratio: float) -> None:
    traces = Traces(SimpleSpanProcessor(InMemorySpanExporter()), Resource.create(), ratio)
    now = datetime.now(UTC)
    chosen = sum(traces.trace_id(new_correlation_id(now)) is not None for _ in range(CASES))
    # Ten standard deviations. The choice is the same wherever the id is known, and random over ids.
    assert chosen == pytest.approx(ratio * CASES, abs=10 * (ratio * (1 - ratio) * CASES) ** 0.5)


@pytest.mark.parametrize(
    "name", [None, "", "unknown", "70000001", "case-1", "01010112345", "Kari Nordmann", "0" * 32, "f" * 31, "F" * 32]
)
def test_an_id_of_another_program_is_not_used_as_a_trace_id(name: str | None) -> None:
    assert Traces(SimpleSpanProcessor(InMemorySpanExporter()), Resource.create(), 1.0).trace_id(name) is None


def test_an_error_in_telemetry_does_not_affect_the_work() -> None:
    what_breaks_it: Any = None
    with observed_by(OpenTelemetryObserver(what_breaks_it, None, None)):
        assert observer().handling(what_breaks_it) is NOTHING
        observer().lease_lost(what_breaks_it)
        observer().accepted([what_breaks_it], datetime.now(UTC))
    assert observer() is NOBODY
