"""The database answers but refuses. A write without a majority does not count, and a refused write costs no attempt."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError, WriteConcernError

from casebridge.database import Database, insert_absent
from casebridge.database_faults import is_away
from casebridge.settings import MongoDBSettings
from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.indexes import ensure_all_indexes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 6
LEASE_SECONDS = 1.0
UNAUTHORIZED, NOT_PRIMARY, DISK_FULL = 13, 10107, 14031
STEPPED_DOWN = {"code": 189, "codeName": "PrimarySteppedDown", "errmsg": "stepped down", "errorLabels": []}


@pytest.fixture(scope="module")
def faulty_server(children: Children) -> Iterator[EmbeddedMongoDB]:
    server = EmbeddedMongoDB(children, f"mongodb-{uuid.uuid4().hex[:8]}", faults=True)
    yield server
    server.child.stop()


@pytest.fixture
def mongodb_settings(faulty_server: EmbeddedMongoDB, uses_server: Callable[[str], None]) -> MongoDBSettings:
    name = f"refuses_{uuid.uuid4().hex[:8]}"
    settings = MongoDBSettings(uri=faulty_server.uri, config_database=f"{name}_config", oai_database=f"{name}_oai")
    database = Database(settings)
    ensure_all_indexes(database)
    uses_server(f"{database.server_name()} that refuses")
    database.close()
    return settings


@pytest.fixture
def failing(faulty_server: EmbeddedMongoDB) -> Iterator[Callable[..., Any]]:
    with MongoClient(faulty_server.uri) as client:

        @contextmanager
        def fail(commands: list[str], *, times: int | None = None, **data: Any) -> Iterator[None]:
            mode: Any = "alwaysOn" if times is None else {"times": times}
            what = {"failCommands": commands, **data}
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": what})
            try:
                yield
            finally:
                client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

        yield fail


def test_a_write_without_a_majority_does_not_count(database: Database, failing: Callable[..., Any]) -> None:
    with failing(["insert"], times=1, writeConcernError=STEPPED_DOWN), pytest.raises(WriteConcernError):
        insert_absent(database.alerts, [{"_id": "one"}])
    assert insert_absent(database.alerts, [{"_id": "one"}, {"_id": "two"}]) == {"one"}


@pytest.mark.parametrize("code", [UNAUTHORIZED, 64, NOT_PRIMARY, 12501, DISK_FULL])
def test_another_refusal_is_the_drivers_error(code: int, database: Database, failing: Callable[..., Any]) -> None:
    with failing(["insert"], errorCode=code), pytest.raises(PyMongoError) as raised:
        insert_absent(database.alerts, [{"_id": "one"}])
    assert is_away(raised.value)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        *((command, {"writeConcernError": STEPPED_DOWN}) for command in ("insert", "update", "delete")),
        *((command, {"errorCode": DISK_FULL}) for command in ("insert", "update", "delete")),
        # refused before the command is read, so every command is refused alike
        ("update", {"errorCode": UNAUTHORIZED}),
        ("update", {"errorCode": NOT_PRIMARY}),
    ],
    ids=str,
)
def test_a_listener_outlives_refused_writes_and_no_attempt_is_lost(
    command: str, fault: dict[str, Any], world: World, failing: Callable[..., Any]
) -> None:
    """The refusals last several leases. Writes that were rolled back are not missed, because nothing relied on them."""
    world.configure(queue={"lease_seconds": LEASE_SECONDS, "workers": 4, "retry_base_seconds": 0.5})
    world.populate(institutions=2, courses=2, requests=REQUESTS, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    stop = threading.Event()
    listener = process.listener()
    thread = threading.Thread(target=listener.run, args=(stop,))
    with failing([command], **fault):
        thread.start()
        assert not stop.wait(LEASE_SECONDS * 5), "several leases run out meanwhile"
        assert thread.is_alive()
    wait_until(lambda: world.database.messages.count_documents({}) == 0, "all are processed", seconds=40.0)
    stop.set()
    thread.join()

    assert {row["attempts"] for row in world.database.processed_messages.find()} == {1}
    world.carry(process)
    check_everything(world, REQUESTS)
