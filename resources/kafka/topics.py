"""The topics of an installation: which there are by role, and how those that are missing are made."""

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
LOOK_EVERY_SECONDS: Final = 2.0


def topic_names(settings: KafkaSettings) -> tuple[str, ...]:
    """Every topic by its role, and its dead letters."""
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
    """One administrator's connection; close it when done. Raises `KafkaError`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = connected(KafkaAdminClient, **client_options(settings))

    def ensure(self) -> Mapping[str, str]:
        """See to it that every topic is there; return their ids by name. Topics that are there stay as they are."""
        found = self.ids()
        missing = [name for name in topic_names(self._settings) if name not in found]
        if not missing or not self._settings.make_topics:
            return found
        self._make(missing)
        logger.info("made %d topics: %s", len(missing), ", ".join(missing))
        return self.ids()

    def ids(self) -> dict[str, str]:
        """The topics of this installation that are there, each with the id that it keeps until it is deleted."""
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
            # Another process may have been quicker.
            if topic["error_code"] != NO_ERROR and error is not TopicAlreadyExistsError:
                raise error
        self._admin.wait_for_topics(names)

    def close(self) -> None:
        self._admin.close()


@contextmanager
def topics_of(settings: KafkaSettings) -> Iterator[Topics]:
    """For a moment's work."""
    topics = Topics(settings)
    try:
        yield topics
    finally:
        topics.close()


class TopicWatch:
    """Keeps an eye on the topics for as long as a consumer runs: a broker without memory comes back without them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topics: Topics | None = None
        self._looked_at = 0.0
        self.ids: Mapping[str, str] = {}

    def look(self) -> None:
        """Make what is missing, and learn the ids of today. Raises `KafkaError`."""
        self._looked_at = time.monotonic()
        self._topics = self._topics or Topics(self._settings)
        self.ids = self._topics.ensure()

    def look_if_due(self) -> None:
        """The same now and then. When Kafka is away, nothing has changed, as far as one can see."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_SECONDS:
            return
        try:
            self.look()
        except KafkaError as error:
            say_that_kafka_is_away(error)
            self.close()

    def close(self) -> None:
        if self._topics is not None:
            self._topics.close()
            self._topics = None
