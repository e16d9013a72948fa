"""The MongoDB databases: the names of collections, how they are opened, and their indexes.

- Names come from the source system (design §5), so that an existing installation can be taken over.
- Only features that MongoDB, DocumentDB and the embedded server all have are used: no transactions, no retryable writes. Change
  streams are optional (`messaging.listener.lane_watcher`).
- Other modules read and write the documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, cast

import bson
import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING, IndexModel, MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure, PyMongoError, WriteConcernError
from pymongo.uri_parser import split_options

from casebridge.database_faults import DATA_CODES
from casebridge.settings import MongoDBSettings

Document = dict[str, Any]
DUPLICATE_KEY: Final = 11000
INDEX_SECONDS: Final = 3600.0
"""The limit for creating indexes. With the documents of years this takes minutes, longer than any other operation may."""
RETIRED_INDEXES: Final = frozenset({"dueAt_1", "status_1_institution_1", "institution_1_queue_1_dueAt_1"})
"""Old indexes of the live queue. Each costs time with every claim. They are dropped after their replacements are created."""

CASE_INDEXES: Final = (
    IndexModel([("correlationId", ASCENDING)], unique=True),
    IndexModel([("institution", ASCENDING), ("state", ASCENDING), ("deadline", ASCENDING)]),
)
"""The indexes of every kind of case."""


class Database:
    """One connection pool, and the collections. Thread-safe. Make one for each process."""

    def __init__(self, settings: MongoDBSettings) -> None:
        self._client = _client(settings)
        config = self._open(settings.config_database)
        self._oai = oai = self._open(settings.oai_database)
        self.orgs: Collection[Document] = config["orgs"]
        self.slack_blacklists: Collection[Document] = config["slack-blacklists"]
        self.environments: Collection[Document] = oai["KlageBegrunnelseEnvs"]
        self.received_keys: Collection[Document] = oai["kafkaMessages"]
        self.watermarks: Collection[Document] = oai["LastAudit"]
        self.audit_log: Collection[Document] = oai["auditLog"]
        self.messages: Collection[Document] = oai["meldingQ"]
        self.processed_messages: Collection[Document] = oai["meldingQProcessed"]
        self.cases: Collection[Document] = oai["begrunnelser"]
        self.pauses: Collection[Document] = oai["pauses"]
        self.alerts: Collection[Document] = oai["alerts"]
        self.lanes: Collection[Document] = oai["lanes"]
        self.listeners: Collection[Document] = oai["listeners"]
        self.rate_shares: Collection[Document] = oai["rateShares"]
        self.storage: Collection[Document] = oai["storage"]
        self.processes: Collection[Document] = oai["processes"]

    def _open(self, name: str) -> MongoDatabase[Document]:
        return self._client.get_database(
            name,
            # A date that Python cannot represent, or an incomplete character, in one document must not end a read of many.
            codec_options=CodecOptions(
                document_class=cast("type[Document]", dict),
                tz_aware=True,
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="replace",
            ),
            # An acknowledged write must survive a kill of the server.
            write_concern=WriteConcern(w="majority", j=True),
            read_preference=ReadPreference.PRIMARY,
        )

    def collection(self, name: str) -> Collection[Document]:
        """A further collection of `oai`, for a capability."""
        return self._oai[name]

    def server_time(self) -> datetime:
        """The time of the server's clock, which leases use."""
        return server_moment(self._client.admin.command("hello").get("localTime"))

    def server_name(self) -> str:
        """The product and version of the server for summaries, as far as it says."""
        build = self._client.admin.command("buildInfo")
        if embedded := build.get("secantusVersion"):
            return f"SecantusDB {embedded}"
        return f"MongoDB protocol {build.get('version', '?')}"

    def ensure_indexes(self, of_capabilities: Iterable[tuple[Collection[Document], Sequence[IndexModel]]] = ()) -> None:
        """Create missing indexes, and drop those of earlier versions. Slow on some servers: call it at set-up only."""
        for collection, indexes in (*self._indexes(), *of_capabilities):
            create_missing(collection, indexes)
        for name in self.messages.index_information().keys() & RETIRED_INDEXES:
            self.messages.drop_index(name)

    def _indexes(self) -> list[tuple[Collection[Document], list[IndexModel]]]:
        return [
            (
                self.messages,
                [
                    # Few, because a claim changes a message in each of these indexes. None is there only for reports.
                    IndexModel(
                        [
                            ("institution", ASCENDING),
                            ("examSystem", ASCENDING),
                            ("queue", ASCENDING),
                            ("dueAt", ASCENDING),
                        ]
                    ),
                    IndexModel([("effectsDueAt", ASCENDING)], sparse=True),
                    IndexModel([("correlationId", ASCENDING)]),
                    IndexModel([("orderingKey", ASCENDING), ("enqueuedAt", ASCENDING)]),
                    # Ensures that at most one message of a case is in work. The status may not be part of the key: the
                    # embedded server would then use this index for every query by status.
                    IndexModel(
                        [("orderingKey", ASCENDING)],
                        unique=True,
                        partialFilterExpression={"status": "processing"},
                    ),
                    # For operators' queries of dead messages. Other messages have no cost from these.
                    IndexModel([("enqueuedAt", ASCENDING)], partialFilterExpression={"status": "dead"}),
                    IndexModel([("errors.code", ASCENDING)], partialFilterExpression={"status": "dead"}),
                ],
            ),
            (
                self.processed_messages,
                [
                    IndexModel([("correlationId", ASCENDING)]),
                    IndexModel([("finishedAt", ASCENDING)]),
                    IndexModel([("effectsDueAt", ASCENDING)], sparse=True),
                    IndexModel([("undeliveredAt", ASCENDING)], sparse=True),
                ],
            ),
            (self.audit_log, [IndexModel([("correlationId", ASCENDING)]), IndexModel([("time", ASCENDING)])]),
            (
                self.alerts,
                [IndexModel([("dueAt", ASCENDING)], sparse=True), IndexModel([("settledAt", ASCENDING)], sparse=True)],
            ),
            (self.listeners, [IndexModel([("seenAt", ASCENDING)])]),
        ]

    def close(self) -> None:
        self._client.close()


def _client(settings: MongoDBSettings) -> MongoClient[Document]:
    """The driver's client. Raises `ConfigurationError` if the address cannot be used, without quoting it or its password."""
    address = settings.uri.get_secret_value()
    try:
        # Without this check the driver would log a misspelt option and ignore it, and so perhaps connect without TLS.
        split_options(address.partition("?")[2] or "tls=false", warn=False)
        return MongoClient(
            address,
            # Every change of state may be applied twice, so the driver's own retries gain nothing. DocumentDB advertises
            # retryable writes, but does not deduplicate them.
            retryWrites=False,
            serverSelectionTimeoutMS=int(settings.server_selection_seconds * 1000),
            connectTimeoutMS=int(settings.server_selection_seconds * 1000),
            socketTimeoutMS=int(settings.socket_seconds * 1000),
            appname="casebridge",
        )
    except (PyMongoError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"The address of the database cannot be used ({type(error).__name__}): user and password stand in it in "
            "percent-encoding, and the files that it names must be there."
        ) from None


def create_missing(collection: Collection[Document], indexes: Sequence[IndexModel]) -> None:
    """Create the indexes that the collection lacks."""
    present = {_index_key(index["key"]) for index in collection.list_indexes()}
    missing = [index for index in indexes if _index_key(index.document["key"]) not in present]
    if missing:
        # Only around this call: elsewhere this limit would also be the wait for a server that is away.
        with pymongo.timeout(INDEX_SECONDS):
            collection.create_indexes(missing)


def _index_key(key: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(direction)) for name, direction in key.items())


def server_moment(local_time: object) -> datetime:
    """The time that a server's `localTime` means. Raises `ConfigurationError` if it has another type.

    MongoDB and the embedded server send a date, DocumentDB a 64-bit number of milliseconds since 1970.
    """
    if isinstance(local_time, datetime):
        return local_time if local_time.tzinfo else local_time.replace(tzinfo=UTC)
    if isinstance(local_time, int | float) and not isinstance(local_time, bool):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_time)
    raise ConfigurationError(f"The database does not tell its time (localTime is a {type(local_time).__name__}).")


def insert_absent(collection: Collection[Document], documents: list[Document]) -> set[str]:
    """Insert the documents that are absent. Returns the ids that existed. On return all are durable, also if the primary fails.

    Raises the driver's `OperationFailure` or `WriteConcernError` for any other refusal, without documents. Some documents may
    be inserted then: the call may be repeated.
    """
    if not documents:
        return set()
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        problems = details.get("writeErrors", [])
        if any(problem.get("code") != DUPLICATE_KEY for problem in problems):
            _refuse(collection, [problem for problem in problems if problem.get("code") != DUPLICATE_KEY])
        if details.get("writeConcernErrors"):
            # The primary has the documents, but they may not be durable yet.
            codes = sorted({problem.get("code", 0) for problem in details["writeConcernErrors"]})
            raise WriteConcernError(f"An insert into {collection.name} is not durable yet: codes {codes}") from None
        existing = (documents[problem["index"]]["_id"] for problem in problems)
        return {key for key in existing if isinstance(key, str)}  # our own keys are texts
    return set()


def identity_of(key: object) -> bytes:
    """An `_id` of any type in a form that can be a member of a set. A document cannot be one."""
    return bson.encode({"_id": key})


def _refuse(collection: Collection[Document], problems: list[Document]) -> NoReturn:
    codes = sorted({problem.get("code", 0) for problem in problems})
    worst = min(codes, key=lambda code: code not in DATA_CODES)
    raise OperationFailure(f"MongoDB refused an insert into {collection.name} with codes {codes}", worst) from None
