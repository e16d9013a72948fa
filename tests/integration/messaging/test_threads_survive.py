"""Each thread and each endless loop survives any exception in it, and goes on with its work.

The threads are found in the source. A new one needs an entry in `THREADS`, and so a test. Loops over messages at the boundaries
of the queue are tested in `test_boundaries`.
"""

import ast
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson.errors import InvalidDocument
from prometheus_client import CollectorRegistry
from pymongo.errors import AutoReconnect, DocumentTooLarge, OperationFailure, PyMongoError

from casebridge.institutions.pauses import Pauses
from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.listener.settle_loop import SettleLoop
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.rates.share_store import ShareStore
from casebridge.sources.credential_probes import CredentialProbes
from command_line.listen import keep_announcing
from command_line.report import DagsterReport
from local_servers.child_process import free_port
from resources.telemetry import scrape
from resources.wiring.process import Process
from tests.support.explanation_rounds import read_requests
from tests.support.waiting import wait_until
from tests.support.world import World

ROOT = Path(__file__).parents[3]
FOLDERS = ("casebridge", "resources", "sensors", "assets", "orchestration", "command_line")
THREADS = {
    "casebridge/messaging/listener/helper_threads.py: self.until_ended",
    "casebridge/rates/share_keeper.py: self._renew_until_closed",
    "casebridge/storage/processes.py: self._until_ended",
    "command_line/listen.py: keep_announcing",
    "resources/telemetry/scrape.py: self._open_until_done",
}
"""Functions that run in a thread of their own, and have a test below. The demo's threads are not in production."""


class PanicError(BaseException):
    """Plays the part of a native library's panic, which is no `Exception`."""


ERRORS: tuple[BaseException, ...] = (
    KeyError("x"), TypeError("x"), ValueError("x"), OverflowError("x"), RecursionError("x"), MemoryError("x"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), OSError("x"), RuntimeError("can't start new thread"),
    AutoReconnect("x"), OperationFailure("x", 13), OperationFailure("x", 2), PyMongoError("x"),
    DocumentTooLarge("x"), InvalidDocument("x"), SystemExit(1), PanicError(),
)  # fmt: skip


def threads() -> set[str]:
    """`path: target` of each thread that the source starts."""
    found = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread"):
                    target = next(one.value for one in node.keywords if one.arg == "target")
                    found.add(f"{path.relative_to(ROOT)}: {ast.unparse(target)}")
    return {name for name in found if not name.startswith("command_line/demo/")}


def test_each_thread_of_the_source_has_its_test() -> None:
    assert threads() == THREADS


class Trap:
    """Replaces a function: it raises one error after the other, then lets the calls through."""

    def __init__(self, through: Callable[..., Any]) -> None:
        self._through = through
        self._errors = iter(ERRORS)
        self.met = 0
        self.passed = threading.Event()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        error = next(self._errors, None)
        if error is not None:
            self.met += 1
            raise error
        result = self._through(*arguments, **named)
        self.passed.set()
        return result


@contextmanager
def running(listener: Listener) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


PLACES: dict[str, tuple[type, str]] = {
    "claim": (LaneScheduler, "take"),
    "pauses": (Pauses, "paused"),
    "settle": (SettleLoop, "_next_batch"),
    "deliver": (Relay, "deliver_left_behind"),
    "leases": (MeldingQ, "keep"),
    "alerts": (Relay, "send_alerts"),
    "credentials": (CredentialProbes, "run_due"),
    "lanes": (LaneScheduler, "scan_all"),
}
"""What the claiming thread, and each helper of a listener by the name of its thread, calls first."""


def set_trap(monkeypatch: pytest.MonkeyPatch, place: str) -> Trap:
    owner, name = PLACES[place]
    trap = Trap(getattr(owner, name))

    def method(*arguments: Any, **named: Any) -> Any:
        return trap(*arguments, **named)

    monkeypatch.setattr(owner, name, method)
    return trap


def test_each_helper_of_a_listener_is_tested(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=0)
    before = set(threading.enumerate())
    with running(world.process().listener()) as thread:
        wait_until(lambda: any(one.name == "lanes" for one in set(threading.enumerate()) - before), "all are begun")
        helpers = {
            one.name for one in set(threading.enumerate()) - before if one.daemon and not one.name.startswith("pymongo")
        }
        assert thread.is_alive()
    assert helpers == set(PLACES) - {"claim", "pauses"}


@pytest.mark.parametrize("place", sorted(set(PLACES) - {"lanes"}))
def test_a_listener_survives_each_error(place: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    world.configure(queue={"lease_seconds": 0.6})
    monkeypatch.setattr(intervals, "AWAY_SECONDS", 0.01)
    monkeypatch.setattr(intervals, "HOUSEKEEPING_SECONDS", 0.01)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    trap = set_trap(monkeypatch, place)

    with running(process.listener()) as thread:
        assert trap.passed.wait(30.0), "it is tried again"
        wait_until(lambda: world.control.summary()["dispatched"] == 2, "messages are handled all the same")
        assert thread.is_alive()
    assert trap.met == len(ERRORS)


def test_lanes_are_watched_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop ends with an error and is started again by its thread. A scan finds what was notified meanwhile."""
    monkeypatch.setattr(intervals, "AWAY_SECONDS", 0.01)
    missed = set_trap(monkeypatch, "lanes")
    with running(world.process().listener()) as thread:
        assert missed.passed.wait(30.0)
        assert thread.is_alive()
    assert missed.met == len(ERRORS)


def test_shares_are_renewed_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background, and in the call that asks for a share: no call fails because of that."""
    store = ShareStore(world.database)
    read = store.read
    trap = Trap(read)
    monkeypatch.setattr(store, "read", trap)
    keeper = ShareKeeper(store, 0.5)
    share = keeper.share("a credential")
    try:
        while not trap.passed.is_set():
            share.grow_beyond(0)
        again = Trap(read)
        monkeypatch.setattr(store, "read", again)
        wait_until(lambda: share.grow_beyond(0) is not None and again.passed.is_set(), "it is renewed")
        assert again.met == len(ERRORS)
    finally:
        keeper.close()


@pytest.mark.parametrize("place", ["announce", "report"])
def test_a_listener_is_announced_again(place: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure(dagster={"url": "http://127.0.0.1:9", "report_seconds": 0.0})
    process = world.process()
    listener = process.listener()
    report = DagsterReport(process, listener.outcome_counts)
    trap = Trap(process.register_listener if place == "announce" else report.send_if_due)
    if place == "announce":
        monkeypatch.setattr(process, "register_listener", trap)
    else:
        monkeypatch.setattr(report, "send_if_due", trap)
    stop = threading.Event()
    thread = threading.Thread(target=keep_announcing, args=(process, listener, report, stop, 0.01), daemon=True)
    thread.start()
    try:
        assert trap.passed.wait(30.0)
        assert thread.is_alive()
        assert world.database.listeners.count_documents({"_id": listener.owner}) == 1
    finally:
        stop.set()
        thread.join()


def test_the_port_of_metrics_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trap = Trap(scrape.start_http_server)

    def opened(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            raise OSError("in use")
        return trap(*arguments, **named)

    monkeypatch.setattr(scrape, "start_http_server", opened)
    server = scrape.ScrapeServer("127.0.0.1", free_port(), CollectorRegistry(), again_seconds=0.01)
    server.start()
    try:
        assert trap.passed.wait(30.0)
        assert trap.met == len(ERRORS)
    finally:
        server.stop()


def test_a_process_at_work_announces_itself_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casebridge.storage.processes.HEARTBEAT_SECONDS", 0.01)
    processes = world.process().storage.processes
    with processes.at_work("run"):
        trap = Trap(processes.announce)
        monkeypatch.setattr(processes, "announce", trap)
        assert trap.passed.wait(30.0)
        assert trap.met == len(ERRORS)
        assert world.database.processes.count_documents({"kind": "run"}) == 1
    assert world.database.processes.count_documents({}) == 0


def test_a_failing_credential_probe_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=3, courses=3, requests=0)
    process = world.process()
    for institution in process.stores.institutions.active():
        world.database.pauses.insert_one({"_id": institution.tenant, "institution": institution.key})  # no more fields
    trap = Trap(process.stores.institutions.named)
    monkeypatch.setattr(process.stores.institutions, "named", trap)

    wait_until(lambda: _tried(process) and not process.stores.pauses.paused(), "each goes on")


def _tried(process: Process) -> bool:
    try:
        process.platform.probes.run_due()
    except PyMongoError:
        logging.getLogger(__name__).info("the database is away: tried again")
    return True
