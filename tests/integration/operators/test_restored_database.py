"""A database is restored from a backup of an hour ago, while FS and WISEflow are an hour ahead (docs/operating.md, Restore).

In that hour every kind of step was done: requests were dispatched, answered, registered, shown, corrected and withdrawn, for
cases that are in the backup and for others that are not.
"""

from collections import Counter
from typing import Any

import pytest

from casebridge.database import Database, Document
from resources.wiring.process import Process
from tests.support.explanation_rounds import read_requests
from tests.support.processes import Processes
from tests.support.world import World

MISTAKES = (
    "registered_twice", "registered_out_of_order", "registered_too_early", "wrong_text", "stale_text",
    "dispatched_to_wrong_participant",
)  # fmt: skip
Backup = dict[str, list[Document]]


def back_up(database: Database) -> Backup:
    oai = database.cases.database
    return {name: list(oai[name].find()) for name in oai.list_collection_names()}


def restore(world: World, backup: Backup) -> None:
    """Stop all processes, then put the backup in place of what is stored, as docs/operating.md says."""
    world.stop()
    oai = world.database.cases.database
    for name in oai.list_collection_names():
        oai[name].delete_many({})
        if backup.get(name):
            oai[name].insert_many(backup[name])


def reconcile(world: World, process: Process) -> None:
    """Reconcile like the schedule of 120 minutes, until nothing new comes."""
    world.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
    for _ in range(4):
        if not world.synchronise(process, also_answered=True):
            return


@pytest.fixture
def plain_and_showing(world: World) -> tuple[str, str]:
    population = world.populate(institutions=2, courses=3, requests=0, variety=False)
    plain, showing = (one["orgId"] for one in population["institutions"])
    world.database.orgs.update_one({"orgId": showing}, {"$set": {"wiseflow.showJustification": True}})
    return plain, showing


@pytest.mark.parametrize("as_documented", [True, False], ids=["as documented", "listeners start at once"])
def test_nothing_is_lost_and_nothing_is_done_twice(
    as_documented: bool, world: World, plain_and_showing: tuple[str, str], processes: Processes
) -> None:
    process = world.process()

    def ask(count: int) -> list[dict[str, Any]]:
        return [world.control.add_request(org_id) for org_id in plain_and_showing for _ in range(count)]

    # Before the backup: some cases are finished, some wait for the assessor, some wait in the inbox.
    ask(2)
    world.carry(process)
    world.control.assessors(paused=True)
    ask(2)
    world.send(process)
    ask(2)
    read_requests(process, process.stores.institutions.active())
    backup = back_up(world.database)

    # The hour after it: all of those go on, and more come. Some get answered, some dispatched, some are not read yet.
    world.send(process)
    world.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
    ask(2)
    world.carry(process)
    world.control.assessors(paused=True)
    ask(2)
    world.send(process)
    ask(1)
    before = world.control.summary()
    assert (before["requests"], before["dispatched"], before["registered"]) == (22, 20, 16)

    restore(world, backup)
    restored = world.process()
    if as_documented:
        ended = processes.run("sync", "--answers-first", "--reach-back-days", "14", "--wait", "0")
        assert "First: " in ended.notes
    reconcile(world, restored)

    after = world.control.summary()
    assert {name: after[name] for name in MISTAKES} == dict.fromkeys(MISTAKES, 0)
    assert after["outstanding"] == 0, "each student has an answer"
    assert after["dispatched"] == 22, "one request for each, though WISEflow had 20 of them already"
    assert after["registrations"] == after["registered"] == 22, "one explanation for each, though FS had 16 already"
    assert after["emails"] == after["shown"] == 11, "each answer was shown once"
    assert world.database.messages.count_documents({}) == 0, "nothing waits, and nothing is set aside"
    # 4 were dispatched, answered and registered in that hour. FS lists none of them as open, so they have no case.
    states = Counter(case["state"] for case in world.database.cases.find())
    assert states == (
        {"registered": 7, "shown": 7, "withdrawn": 4}
        if as_documented
        else {"registered": 5, "shown": 5, "withdrawn": 8}
    )
    assert restored.operators.completeness.account().unaccounted == ()


def test_pending_alerts_are_sent_at_least_once(world: World, plain_and_showing: tuple[str, str]) -> None:
    """An alert that was sent after the backup is pending again. Two alerts are better than none."""
    plain, _ = plain_and_showing
    world.control.add_request(plain, oddity="no_candidate")
    process = world.process()
    world.send(process)
    backup = back_up(world.database)
    process.relay.send_alerts()
    sent = len(world.control.slack_messages())

    restore(world, backup)
    world.process().relay.send_alerts()

    assert len(world.control.slack_messages()) >= sent >= 1
    assert world.database.alerts.count_documents({"state": "owed"}) == 0


def test_a_request_that_was_withdrawn_meanwhile_stays_withdrawn(
    world: World, plain_and_showing: tuple[str, str]
) -> None:
    plain, _ = plain_and_showing
    process = world.process()
    world.control.assessors(paused=True)
    added = world.control.add_request(plain)
    world.send(process)
    backup = back_up(world.database)
    world.control.withdraw(added["caseId"])
    world.send(process)

    restore(world, backup)
    reconcile(world, world.process())

    (case,) = world.database.cases.find()
    assert case["state"] == "withdrawn"
    assert world.control.summary()["registrations"] == 0


def test_an_answer_that_was_corrected_meanwhile_is_registered_once(
    world: World, plain_and_showing: tuple[str, str]
) -> None:
    """In the backup the first answer is registered. By then FS has the second one."""
    plain, _ = plain_and_showing
    process = world.process()
    world.control.add_request(plain)
    world.carry(process)
    backup = back_up(world.database)
    (registered,) = world.database.cases.find()
    world.control.change_answer(registered["explanationRequestId"])
    world.synchronise(process, also_answered=True)
    before = world.control.summary()
    assert before["registrations"] == 2

    restore(world, backup)
    reconcile(world, world.process())

    after = world.control.summary()
    assert {name: after[name] for name in MISTAKES} == dict.fromkeys(MISTAKES, 0)
    assert after["registrations"] == 2, "FS shows the second text already"
    (case,) = world.database.cases.find()
    assert case["state"] == "registered"
