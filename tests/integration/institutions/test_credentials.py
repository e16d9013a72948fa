"""An institution whose credentials fail stops alone: one alert, no attempt lost. It goes on by itself when they work again."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from casebridge.clock import ServerClock
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.failures import reported_failures
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

REQUESTS = 12
LONGER_THAN_A_TRIAL = timedelta(minutes=1)
TRIALS = {"probe_seconds": 15.0, "probe_cap_seconds": 30.0}
"""No probe comes by itself during a test: the test says when time passes."""


@pytest.fixture
def clock(world: World) -> ShiftedClock:
    world.configure(queue=TRIALS)
    return ShiftedClock(ServerClock(world.database.server_time))


def populate(world: World) -> str:
    """Three institutions. The first one has the trouble."""
    population = world.populate(institutions=3, courses=6, requests=REQUESTS, variety=False)
    return str(population["institutions"][0]["orgId"])


def messages_of(world: World, org_id: str) -> list[dict[str, Any]]:
    return list(world.database.messages.find({"institution": f"{org_id}/test"}))


def registered(world: World) -> dict[str, bool]:
    """Whether all explanations of each institution are registered."""
    rows: dict[str, bool] = {}
    for case in world.control.cases():
        rows[case["orgId"]] = rows.get(case["orgId"], True) and case["state"] == "registered"
    return rows


def check_only_it_waits(world: World, process: Process, org_id: str) -> None:
    """The other institutions are done. The messages of the first wait with all their attempts, and its systems are not called."""
    assert {org: done for org, done in registered(world).items() if not done} == {org_id: False}
    waiting = messages_of(world, org_id)
    assert all(message["status"] == MessageStatus.ENQUEUED for message in waiting)
    assert all(message["attempts"] == 0 for message in waiting)
    refused = len(world.audit(success=False))
    world.synchronise(process)
    assert process.synchronisation.run_batch().handled == 0
    assert len(world.audit(success=False)) == refused, "a paused institution is not called"


def check_one_alert(world: World, org_id: str, code: str) -> None:
    (alert,) = world.database.alerts.find()
    assert (alert["institution"], alert["code"]) == (f"{org_id}/test", code)
    (message,) = world.control.slack_messages()
    assert f"{org_id}/test" in message["message"]["text"]
    assert alert["nextAction"] in message["message"]["text"]


def probes(world: World, process: Process, clock: ShiftedClock) -> list[int]:
    """Let the time of the next probe come. Returns how often each remaining pause was probed."""
    clock.pass_time(LONGER_THAN_A_TRIAL)
    process.platform.probes.run_due()
    return [pause.probes for pause in process.stores.pauses.all()]


@pytest.mark.parametrize("authentication", ["oauth2", "api_key"])
@pytest.mark.parametrize("system", ["fs", "wiseflow"])
def test_refused_credentials_stop_one_institution_until_they_work(
    system: str, authentication: str, world: World, clock: ShiftedClock
) -> None:
    if authentication == "api_key":
        population = world.populate(institutions=2, courses=6, requests=REQUESTS)
        (org_id,) = (one["orgId"] for one in population["institutions"] if one["wiseflow"]["auth"] == "api_key")
    else:
        org_id = populate(world)
    code = f"{system}.credentials_refused"
    process = world.process(clock)
    world.control.credentials(org_id, system, valid=False)
    world.carry(process)

    check_only_it_waits(world, process, org_id)
    assert reported_failures(world, code)
    assert probes(world, process, clock) == [1]
    assert probes(world, process, clock) == [2]
    check_one_alert(world, org_id, code)

    world.control.credentials(org_id, system, valid=True)
    assert probes(world, process, clock) == []
    world.carry(process)
    check_everything(world, requests=REQUESTS)
    check_one_alert(world, org_id, code)


@pytest.mark.parametrize("system", ["fs", "wiseflow"])
def test_credentials_that_fail_on_the_way_back_lose_no_answer(system: str, world: World, clock: ShiftedClock) -> None:
    """Refused for waiting answers, for waiting requests and for polls: that is one alert, not three."""
    org_id = populate(world)
    process = world.process(clock)
    run, institutions = process.synchronisation, process.stores.institutions.active()
    read_requests(process, institutions)
    run.run_batch()
    world.control.wait("answered", REQUESTS)
    poll_answers(process, institutions)
    world.control.add_request(org_id)
    read_requests(process, institutions)
    world.control.credentials(org_id, system, valid=False)

    run.run_batch()
    for pause in process.stores.pauses.all():
        process.stores.pauses.lift(pause)  # as if a probe and a new refusal had come between
    poll_answers(process, institutions)
    read_requests(process, institutions)

    check_only_it_waits(world, process, org_id)
    check_one_alert(world, org_id, f"{system}.credentials_refused")
    world.control.credentials(org_id, system, valid=True)
    assert probes(world, process, clock) == []
    world.carry(process)
    check_everything(world, requests=REQUESTS + 1)


def test_an_institution_without_credentials_waits_for_them(world: World, clock: ShiftedClock) -> None:
    org_id = populate(world)
    reference = f"{org_id.split('.')[0].upper()}_NO_WISEFLOW"
    kept = {name: value for name, value in world.secrets.items() if reference in name}
    assert kept
    world.secrets = {name: value for name, value in world.secrets.items() if name not in kept}
    process = world.process(clock)
    world.carry(process)

    check_only_it_waits(world, process, org_id)
    (message, *_) = reported_failures(world, "credentials.missing")
    assert "CASEBRIDGE_SECRET_" in message["errorMessage"]
    check_one_alert(world, org_id, "credentials.missing")

    world.secrets |= kept
    restarted = world.process(clock)
    assert probes(world, restarted, clock) == []
    world.carry(restarted)
    check_everything(world, requests=REQUESTS)


def test_a_probe_that_says_nothing_about_credentials_ends_no_pause(world: World, clock: ShiftedClock) -> None:
    org_id = populate(world)
    process = world.process(clock)
    world.control.credentials(org_id, "wiseflow", valid=False)
    world.carry(process)
    world.control.credentials(org_id, "wiseflow", valid=True)
    world.control.faults({"system": "fs", "kind": "status", "status": 503})

    assert probes(world, process, clock) == [1], "FS is away: nobody knows"

    world.control.clear_faults()
    assert probes(world, process, clock) == []


@pytest.mark.parametrize("system", ["fs", "wiseflow"])
def test_without_a_listener_the_next_synchronisation_goes_on(system: str, world: World, clock: ShiftedClock) -> None:
    """Batches and polls probe what is due. So an installation that has only Dagster resumes as well."""
    org_id = populate(world)
    process = world.process(clock)
    world.control.credentials(org_id, system, valid=False)
    world.carry(process)
    world.control.credentials(org_id, system, valid=True)
    assert process.stores.pauses.paused() == {f"{org_id}/test/WISEFLOW"}

    clock.pass_time(LONGER_THAN_A_TRIAL)
    world.carry(process)

    assert process.stores.pauses.paused() == set()
    check_everything(world, requests=REQUESTS)


def test_a_poll_probes_a_paused_institution_when_that_is_due(world: World, clock: ShiftedClock) -> None:
    org_id = populate(world)
    process = world.process(clock)
    world.control.credentials(org_id, "fs", valid=False)
    read, institutions = partial(read_requests, process), process.stores.institutions.active()
    assert read(institutions).failed == {f"{org_id}/test": "fs.credentials_refused"}
    world.control.credentials(org_id, "fs", valid=True)

    assert read(institutions).skipped == 1, "not due yet"
    clock.pass_time(LONGER_THAN_A_TRIAL)
    assert read(institutions).skipped == 0


@pytest.mark.parametrize("form", ["of this version", "of an earlier version"])
def test_messages_of_a_paused_institution_that_is_deactivated_are_set_aside(
    form: str, world: World, clock: ShiftedClock
) -> None:
    """Its credentials are never probed again, so nothing would end the pause. Its messages must not wait for ever."""
    org_id = populate(world)
    process = world.process(clock)
    world.control.credentials(org_id, "wiseflow", valid=False)
    world.carry(process)
    waiting = len(messages_of(world, org_id))
    if form == "of an earlier version":
        (row,) = world.database.pauses.find()
        world.database.pauses.delete_many({})
        world.database.pauses.insert_one({**row, "_id": f"{org_id}/test"})
        world.database.pauses.update_many({}, {"$unset": {"institution": "", "examSystem": ""}})
    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": False}})

    restarted = world.process(clock)
    world.carry(restarted)
    assert {message["status"] for message in messages_of(world, org_id)} == {MessageStatus.ENQUEUED}, "not due yet"
    clock.pass_time(LONGER_THAN_A_TRIAL)
    world.carry(restarted)

    assert restarted.stores.pauses.paused() == set()
    dead = messages_of(world, org_id)
    assert {(message["status"], message["errors"][-1]["code"]) for message in dead} == {
        (MessageStatus.DEAD, "institution.inactive")
    }
    assert len(dead) == waiting
    slack_texts = " ".join(message["message"]["text"] for message in world.control.slack_messages())
    assert "institution.inactive" in slack_texts

    # The next action of the alert works.
    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": True}})
    world.control.credentials(org_id, "wiseflow", valid=True)
    again = world.process(clock)
    reason = Order(dry_run=False, reason="activated again", asked_by="a test")
    assert (
        again.operators.dead_letters.replay(DeadLetterFilter(institution=f"{org_id}/test"), reason).changed == waiting
    )
    world.carry(again)
    assert all(registered(world).values())
