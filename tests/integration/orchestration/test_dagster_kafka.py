"""Kafka as operators see it in Dagster: the lag, and a check that fails if the lag is too long or unknown."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from resources.kafka.topics import topics_of
from tests.integration.conftest import Operator, checks_of, metadata_of
from tests.support.kafka_broker import Broker, Topic, kafka_settings
from tests.support.world import World

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def materialise_inbox(operator: Operator) -> dg.ExecuteInProcessResult:
    return operator.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=operator.instance, asset_selection=[dg.AssetKey("kafka_inbox")], raise_on_error=False
    )


def metadata_and_check(result: dg.ExecuteInProcessResult) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    assert result.success
    return metadata_of(result, "kafka_inbox"), checks_of(result)["kafka_lag"]


def test_the_lag_is_shown_and_a_long_one_fails_the_check(
    broker: Broker, world: World, operator: Callable[..., Operator]
) -> None:
    world.configure(kafka=kafka_settings(broker.address, maximum_lag=3))
    kafka = world.settings.kafka
    with topics_of(kafka) as topics:
        topics.ensure()
    topic = Topic(broker.address, kafka.explanation_requests_topic)
    ui = operator(institutions=1, requests=1)

    topic.send(b"1", b"2", b"3")
    metadata, check = metadata_and_check(materialise_inbox(ui))
    assert (metadata["unread"], check.passed) == (3, True)
    topic.send(b"4")
    metadata, check = metadata_and_check(materialise_inbox(ui))
    assert (metadata["unread"], check.passed, check.severity) == (4, False, dg.AssetCheckSeverity.WARN)
    assert f"{topic.name}|0: 4" in (check.description or "")


def test_a_broker_that_is_away_fails_the_check_and_nothing_else(
    own_broker: Broker, world: World, operator: Callable[..., Operator]
) -> None:
    world.configure(kafka=kafka_settings(own_broker.address))
    ui = operator(institutions=1, requests=1)
    own_broker.child.kill()

    metadata, check = metadata_and_check(materialise_inbox(ui))

    assert metadata["kafka"] == "kafka.unreachable"
    assert not check.passed
    assert "kafka.unreachable" in (check.description or "")


def test_without_kafka_the_check_passes(operator: Callable[..., Operator]) -> None:
    metadata, check = metadata_and_check(materialise_inbox(operator(institutions=1, requests=1)))

    assert "off" in metadata["kafka"]
    assert check.passed
