"""For each code its next action is done as written. After that, and after a replay of the dead messages, no message is dead.

Each code has one row: how the failure is caused, and what the action says to do. A further code needs only a further row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from casebridge.exams.explanations.request_intake import QUEUE
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.explanation_rounds import read_requests
from tests.support.waiting import wait_until
from tests.support.world import World

Act = Callable[[World], None]


@dataclass(frozen=True)
class Row:
    """With `pauses` the messages wait and nobody replays them. Otherwise they are set aside and replayed by their code."""

    code: str
    cause: Act
    act: Act
    pauses: bool = False


def address(system: str, change: Callable[[str], str]) -> Act:
    """Write another address into the institutions' documents."""

    def write(world: World) -> None:
        for document in list(world.database.orgs.find()):
            value = change(document[system]["baseUrl"])
            world.database.orgs.update_one({"_id": document["_id"]}, {"$set": {f"{system}.baseUrl": value}})

    return write


def correct(system: str) -> Act:
    name = {"digex": "fs", "wiseflow": "wiseflow"}[system]
    return lambda world: address(system, lambda _old: world.addresses[name])(world)


def fault(**rule: Any) -> Act:
    return lambda world: world.control.faults(rule) and None


def no_fault(world: World) -> None:
    world.control.clear_faults()


def without_credentials(world: World) -> None:
    world.secrets = {f"NOT_{name}": value for name, value in world.secrets.items()}


def with_credentials(world: World) -> None:
    world.secrets = {name.removeprefix("NOT_"): value for name, value in world.secrets.items()}


def refuse(system: str) -> Act:
    def write(world: World) -> None:
        for document in world.database.orgs.find():
            world.control.credentials(document["orgId"], system, valid=False)

    return write


def renew(system: str) -> Act:
    def write(world: World) -> None:
        for document in world.database.orgs.find():
            world.control.credentials(document["orgId"], system, valid=True)

    return write


def without_scheme(address_now: str) -> str:
    return address_now.removeprefix("http://")


def with_tls(address_now: str) -> str:
    return address_now.replace("http:", "https:")


def name_nobody(field: str) -> Act:
    """FS was read, but the messages are stored as another program writes them (contract 11), without an institution."""

    def write(world: World) -> None:
        process = world.process()
        read_requests(process, process.stores.institutions.active())
        gone = dict.fromkeys((field, "institution", "dueAt"), "")
        assert world.database.messages.update_many({}, {"$unset": gone}).modified_count == 3

    return write


def name_queue(world: World) -> None:
    found = {"errors.code": "casebridge.message_unreadable"}
    assert world.database.messages.update_many(found, {"$set": {"queue": QUEUE}}).modified_count == 3


def name_it(field: str) -> Act:
    def write(world: World) -> None:
        (document,) = world.database.cases.aggregate([{"$group": {"_id": f"${field}"}}])
        found = {"errors.code": "casebridge.message_unreadable"}
        assert world.database.messages.update_many(found, {"$set": {field: document["_id"]}}).modified_count == 3

    return write


SEARCH = {"system": "wiseflow", "path": "sources/search|sis/flows"}
REGISTER = {"system": "fs", "method": "POST"}
ROWS = [
    Row("wiseflow.address_invalid", address("wiseflow", without_scheme), correct("wiseflow"), pauses=True),
    Row("wiseflow.scheme_wrong", address("wiseflow", with_tls), correct("wiseflow"), pauses=True),
    Row("wiseflow.moved", fault(kind="status", status=308, **SEARCH), no_fault, pauses=True),
    Row("credentials.missing", without_credentials, with_credentials, pauses=True),
    Row("wiseflow.credentials_refused", refuse("wiseflow"), renew("wiseflow"), pauses=True),
    Row("wiseflow.http_503", fault(kind="status", status=503, **SEARCH), no_fault),
    Row("wiseflow.body_not_json", fault(kind="html", **SEARCH), no_fault),
    Row("wiseflow.http_418", fault(kind="status", status=418, **SEARCH), no_fault),
    Row("fs.http_502", fault(kind="status", status=502, **REGISTER), no_fault),
    Row("casebridge.message_unreadable", name_nobody("orgId"), name_it("orgId")),
    Row("casebridge.message_unreadable", name_nobody("env"), name_it("env")),
    Row("casebridge.message_unreadable", name_nobody("queue"), name_queue),
    Row("fs.exam_unknown", fault(kind="status", status=404, **REGISTER), no_fault),
]  # fmt: skip


def carried(world: World, process: Process) -> bool:
    world.synchronise(process)
    summary = world.control.summary()
    return bool(summary["registered"] == 3)


def has_failed(world: World, process: Process, row: Row) -> bool:
    """Whether the failure has happened: there is a pause, or a dead message."""
    world.synchronise(process)
    if row.pauses:
        return any(pause.code == row.code for pause in process.stores.pauses.all())
    return row.code in process.operators.dead_letters.find(DeadLetterFilter(), 20).by_code


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_after_the_action_nothing_is_dead(row: Row, world: World) -> None:
    world.populate(institutions=1, courses=1, requests=3, variety=False)
    healthy = world.process()
    if row.pauses:
        # FS stays readable: the waiting requests must be those that came before
        read_requests(healthy, healthy.stores.institutions.active())
    row.cause(world)
    ill = world.process()
    wait_until(lambda: has_failed(world, ill, row), f"{row.code} comes about")
    if row.pauses:
        assert ill.operators.status.read().dead == 0, "what a person must mend uses up no message"

    row.act(world)
    mended = world.process()
    if not row.pauses:
        order = Order(dry_run=False, reason="the action was carried out", asked_by="test")
        assert mended.operators.dead_letters.replay(DeadLetterFilter(code=row.code), order).changed > 0
    wait_until(lambda: carried(world, mended), "every request is registered")

    standing = mended.operators.status.read()
    assert (standing.dead, standing.pending, mended.stores.pauses.paused()) == (0, 0, frozenset())
