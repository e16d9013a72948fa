"""The topics of an installation: their names by role, and the creation of missing ones."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from casebridge.settings import KafkaSettings
from casebridge.sources.dead_record import dead_letter_topic
from resources.kafka.causes import say_that_kafka_is_away
from resources.kafka.connection import client_options, connected

logger = logging.getLogger(__name__)

NO_ERROR: Final = 0
REFRESH_EVERY_SECONDS: Final = 2.0


def topic_names(settings: KafkaSettings) -> tuple[str, ...]:
    """The topic of each role, each with its dead-letter topic."""
    roles = (
        settings.explanation_requests_topic,
        settings.explanation_answers_topic,
        settings.appeal_requests_topic,
        settings.appeal_decisions_topic,
        settings.wiseflow_events_topic,
        settings.inspera_events_topic,
    )
    return tuple(name for topic in roles for name in (topic, dead_letter_topic(topic)))


class Topics:
    """A connection that reads and creates topics. Close it when done. All its calls raise `KafkaError`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = connected(KafkaAdminClient, **client_options(settings))

    def ensure(self) -> Mapping[str, str]:
        """Create the missing topics if the settings allow it. Return the ids of all topics by name.

        Existing topics are not changed.
        """
        existing = self.ids()
        missing = [name for name in topic_names(self._settings) if name not in existing]
        if not missing or not self._settings.make_topics:
            return existing
        self._make(missing)
        logger.info("made %d topics: %s", len(missing), ", ".join(missing))
        return self.ids()

    def ids(self) -> dict[str, str]:
        """The ids of this installation's existing topics by name. A topic keeps its id until it is deleted."""
        described = self._admin.describe_topics(list(topic_names(self._settings)))
        return {topic["name"]: str(topic["topic_id"]) for topic in described if topic["error_code"] == NO_ERROR}

    def _make(self, names: list[str]) -> None:
        retention = timedelta(days=self._settings.retention_days) // timedelta(milliseconds=1)
        wanted = {
            name: {
                "num_partitions": self._settings.partitions,
                "replication_factor": self._settings.replicas,
                "configs": {"retention.ms": str(retention)},
            }
            for name in names
        }
        made = self._admin.create_topics(wanted, raise_errors=False)
        for topic in made["topics"]:
            error = for_code(topic["error_code"])
            # Another process may have created it meanwhile.
            if topic["error_code"] != NO_ERROR and error is not TopicAlreadyExistsError:
                raise error
        self._admin.wait_for_topics(names)

    def close(self) -> None:
        self._admin.close()


@contextmanager
def topics_of(settings: KafkaSettings) -> Iterator[Topics]:
    """A connection for the time of the block."""
    topics = Topics(settings)
    try:
        yield topics
    finally:
        topics.close()


class TopicWatch:
    """Watches the topics while a consumer runs, because a broker that stores nothing has lost them after a restart."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topics: Topics | None = None
        self._refreshed_at = 0.0
        self.ids: Mapping[str, str] = {}

    def refresh(self) -> None:
        """Create missing topics and read the current ids. Raises `KafkaError`."""
        self._refreshed_at = time.monotonic()
        self._topics = self._topics or Topics(self._settings)
        self.ids = self._topics.ensure()

    def refresh_if_due(self) -> None:
        """Do `refresh` if the last one was some time ago. If Kafka is away, log it and keep the ids."""
        if time.monotonic() - self._refreshed_at < REFRESH_EVERY_SECONDS:
            return
        try:
            self.refresh()
        except KafkaError as error:
            say_that_kafka_is_away(error)
            self.close()

    def close(self) -> None:
        if self._topics is not None:
            self._topics.close()
            self._topics = None
