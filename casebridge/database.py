"""The MongoDB databases: names of collections, how they are opened, and their indexes.

Names come from the source system (design §5), so that an existing installation can be taken over. Only what MongoDB,
DocumentDB and the embedded server all do is relied on: no transaction, no retryable write. A change stream is used where there is
one (`messaging.listener.lane_watcher`), and never needed. Reading and writing documents belongs to the module of each noun.
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
"""An index over what years have left takes minutes, longer than any other operation may."""
RETIRED_INDEXES: Final = frozenset({"dueAt_1", "status_1_institution_1", "institution_1_queue_1_dueAt_1"})
"""Of the live queue: each costs something with every claim. Dropped when what takes their place is there."""

CASE_INDEXES: Final = (
    IndexModel([("correlationId", ASCENDING)], unique=True),
    IndexModel([("institution", ASCENDING), ("state", ASCENDING), ("deadline", ASCENDING)]),
)
"""What every kind of case is looked up by."""


class Database:
    """One connection pool and the collections in it. Thread-safe; made once a process."""

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
            # One document with a date that Python has no name for, or with half a character, must not end a look at many.
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
        """A further collection of `oai`: a capability's own."""
        return self._oai[name]

    def server_time(self) -> datetime:
        """The server's own clock: the one that leases are measured by."""
        return server_moment(self._client.admin.command("hello").get("localTime"))

    def server_name(self) -> str:
        """Which server answers, for summaries: its product and version as far as it tells."""
        build = self._client.admin.command("buildInfo")
        if embedded := build.get("secantusVersion"):
            return f"SecantusDB {embedded}"
        return f"MongoDB protocol {build.get('version', '?')}"

    def ensure_indexes(self, of_capabilities: Iterable[tuple[Collection[Document], Sequence[IndexModel]]] = ()) -> None:
        """Create what is missing, drop what earlier versions needed. Slow on some servers: call it at set-up, not per run."""
        for collection, indexes in (*self._indexes(), *of_capabilities):
            create_missing(collection, indexes)
        for name in self.messages.index_information().keys() & RETIRED_INDEXES:
            self.messages.drop_index(name)

    def _indexes(self) -> list[tuple[Collection[Document], list[IndexModel]]]:
        return [
            (
                self.messages,
                [
                    # Few, because a claim moves a message in each index that it touches; nothing here is kept for reports.
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
                    # At most one message of a case is in work, whatever the workers believe. The status may not be part of
                    # the key: the embedded server would then use this index for every search by status.
                    IndexModel(
                        [("orderingKey", ASCENDING)],
                        unique=True,
                        partialFilterExpression={"status": "processing"},
                    ),
                    # What operators look for among dead messages; no other message pays for these.
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
    """Raises `ConfigurationError` for an address that cannot be used, without quoting what may be a piece of a password."""
    address = settings.uri.get_secret_value()
    try:
        # Left to itself the driver would quote a misspelt option and go on without it, even without TLS.
        split_options(address.partition("?")[2] or "tls=false", warn=False)
        return MongoClient(
            address,
            # A state change must be right when applied twice, so the driver's own retries gain nothing; DocumentDB
            # advertises retryable writes that it does not deduplicate.
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
    """Create those of these indexes that the collection lacks."""
    present = {_index_key(index["key"]) for index in collection.list_indexes()}
    missing = [index for index in indexes if _index_key(index.document["key"]) not in present]
    if missing:
        # Around nothing else: a server that is away would be waited for as long.
        with pymongo.timeout(INDEX_SECONDS):
            collection.create_indexes(missing)


def _index_key(key: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(direction)) for name, direction in key.items())


def server_moment(local_time: object) -> datetime:
    """A date on MongoDB and the embedded server; a 64-bit number of milliseconds since 1970 on DocumentDB."""
    if isinstance(local_time, datetime):
        return local_time if local_time.tzinfo else local_time.replace(tzinfo=UTC)
    if isinstance(local_time, int | float) and not isinstance(local_time, bool):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_time)
    raise ConfigurationError(f"The database does not tell its time (localTime is a {type(local_time).__name__}).")


def insert_absent(collection: Collection[Document], documents: list[Document]) -> set[str]:
    """Insert what is not there; return the ids that were. On return all of it will outlive the server's primary.

    Any other refusal is raised as the driver's `OperationFailure` or `WriteConcernError`, without documents. Some may be
    there by then: do it again.
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
            # The primary has it, and nobody knows yet whether it will last.
            codes = sorted({problem.get("code", 0) for problem in details["writeConcernErrors"]})
            raise WriteConcernError(f"An insert into {collection.name} is not durable yet: codes {codes}") from None
        there = (documents[problem["index"]]["_id"] for problem in problems)
        return {key for key in there if isinstance(key, str)}  # only texts are keys of ours
    return set()


def identity_of(key: object) -> bytes:
    """An `_id` as a member of a set, whatever it is: a document is none by itself."""
    return bson.encode({"_id": key})


def _refuse(collection: Collection[Document], problems: list[Document]) -> NoReturn:
    codes = sorted({problem.get("code", 0) for problem in problems})
    worst = min(codes, key=lambda code: code not in DATA_CODES)
    raise OperationFailure(f"MongoDB refused an insert into {collection.name} with codes {codes}", worst) from None
