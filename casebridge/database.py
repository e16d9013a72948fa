"""The MongoDB databases: names of collections, how they are opened, and their indexes.

Names come from the source system (design §5), so that an existing installation can be taken over. Only what MongoDB,
DocumentDB and the embedded server all do is used: no transaction, no change stream, no retryable write. Reading and writing
documents belongs to the module of each noun.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, IndexModel, MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import BulkWriteError, ConfigurationError, PyMongoError
from pymongo.uri_parser import split_options

from casebridge.settings import MongoDBSettings

Document = dict[str, Any]
DUPLICATE_KEY: Final = 11000
INDEX_SECONDS: Final = 3600.0
"""An index over what years have left takes minutes, longer than any other operation may."""
RETIRED_INDEXES: Final = frozenset({"dueAt_1", "status_1_institution_1"})
"""Of the live queue: each costs something with every claim."""


class Database:
    """One connection pool and the collections in it. Thread-safe; made once a process."""

    def __init__(self, settings: MongoDBSettings) -> None:
        self._client = _client(settings)
        config = self._open(settings.config_database)
        oai = self._open(settings.oai_database)
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

    def _open(self, name: str) -> MongoDatabase[Document]:
        return self._client.get_database(
            name,
            codec_options=CodecOptions(document_class=cast("type[Document]", dict), tz_aware=True),
            # An acknowledged write must survive a kill of the server.
            write_concern=WriteConcern(w="majority", j=True),
            read_preference=ReadPreference.PRIMARY,
        )

    def server_time(self) -> datetime:
        """The server's own clock: the one that leases are measured by."""
        return cast("datetime", self._client.admin.command("hello")["localTime"])

    def server_name(self) -> str:
        """Which server answers, for summaries: its product and version as far as it tells."""
        build = self._client.admin.command("buildInfo")
        if embedded := build.get("secantusVersion"):
            return f"SecantusDB {embedded}"
        return f"MongoDB protocol {build.get('version', '?')}"

    def ensure_indexes(self) -> None:
        """Create what is missing, drop what earlier versions needed. Slow on some servers: call it at set-up, not per run."""
        for name in self.messages.index_information().keys() & RETIRED_INDEXES:
            self.messages.drop_index(name)
        for collection, indexes in self._indexes():
            present = {_index_key(index["key"]) for index in collection.list_indexes()}
            missing = [index for index in indexes if _index_key(index.document["key"]) not in present]
            if missing:
                # Around nothing else: a server that is away would be waited for as long.
                with pymongo.timeout(INDEX_SECONDS):
                    collection.create_indexes(missing)

    def _indexes(self) -> list[tuple[Collection[Document], list[IndexModel]]]:
        return [
            (
                self.messages,
                [
                    # Few, because a claim moves a message in each index that it touches; nothing here is kept for reports.
                    IndexModel([("institution", ASCENDING), ("queue", ASCENDING), ("dueAt", ASCENDING)]),
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
                ],
            ),
            (self.audit_log, [IndexModel([("correlationId", ASCENDING)]), IndexModel([("time", ASCENDING)])]),
            (
                self.cases,
                [
                    IndexModel([("correlationId", ASCENDING)], unique=True),
                    IndexModel([("institution", ASCENDING), ("state", ASCENDING), ("deadline", ASCENDING)]),
                    IndexModel([("vurdId", ASCENDING), ("kandidatnr", ASCENDING)]),
                    IndexModel([("flowId", ASCENDING)], sparse=True),
                ],
            ),
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


def _index_key(key: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(direction)) for name, direction in key.items())


def insert_absent(collection: Collection[Document], documents: list[Document]) -> set[str]:
    """Insert what is not there; return the ids that were. An error other than a duplicate key is raised without documents."""
    if not documents:
        return set()
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        problems = (error.details or {}).get("writeErrors", [])
        if any(problem.get("code") != DUPLICATE_KEY for problem in problems):
            codes = sorted({problem.get("code") for problem in problems})
            raise RuntimeError(f"MongoDB refused an insert into {collection.name} with codes {codes}") from None
        return {documents[problem["index"]]["_id"] for problem in problems}
    return set()
