"""Kafka as operators see it in Dagster: what is unread, and a check that says when it is too much, or when nobody can say."""

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


def look(operator: Operator) -> dg.ExecuteInProcessResult:
    return operator.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=operator.instance, asset_selection=[dg.AssetKey("kafka_inbox")], raise_on_error=False
    )


def told(result: dg.ExecuteInProcessResult) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    assert result.success
    return metadata_of(result, "kafka_inbox"), checks_of(result)["kafka_lag"]


def test_the_lag_is_told_and_too_much_of_it_is_reported(
    broker: Broker, world: World, operator: Callable[..., Operator]
) -> None:
    world.configure(kafka=kafka_settings(broker.address, maximum_lag=3))
    kafka = world.settings.kafka
    with topics_of(kafka) as topics:
        topics.ensure()
    topic = Topic(broker.address, kafka.explanation_requests_topic)
    seat = operator(institutions=1, requests=1)

    topic.send(b"1", b"2", b"3")
    metadata, check = told(look(seat))
    assert (metadata["unread"], check.passed) == (3, True)
    topic.send(b"4")
    metadata, check = told(look(seat))
    assert (metadata["unread"], check.passed, check.severity) == (4, False, dg.AssetCheckSeverity.WARN)
    assert f"{topic.name}|0: 4" in (check.description or "")


def test_a_broker_that_is_away_fails_the_check_and_nothing_else(
    own_broker: Broker, world: World, operator: Callable[..., Operator]
) -> None:
    world.configure(kafka=kafka_settings(own_broker.address))
    seat = operator(institutions=1, requests=1)
    own_broker.child.kill()

    metadata, check = told(look(seat))

    assert metadata["kafka"] == "kafka.unreachable"
    assert not check.passed
    assert "kafka.unreachable" in (check.description or "")


def test_where_kafka_is_off_there_is_nothing_to_check(operator: Callable[..., Operator]) -> None:
    metadata, check = told(look(operator(institutions=1, requests=1)))

    assert "off" in metadata["kafka"]
    assert check.passed
