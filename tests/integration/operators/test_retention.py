"""Finished data is removed when its time has come, and nothing needs it: nothing is lost, done twice or reported wrongly."""

import getpass
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from assets.explanations.ledger import read_ledger
from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.database import Database, Document
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.request_reader import Window
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.operators.retention import PruneReport, Removal, Retention
from casebridge.settings import MongoDBSettings, RetentionSettings
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.explanation_rounds import poll_answers
from tests.support.manual_clock import ManualClock
from tests.support.processes import Processes
from tests.support.world import World

DONE, MISUSED, ATTENTION = 0, 2, 4
ALWAYS = Window(date(2000, 1, 1), date(2100, 1, 1))

ALERT = Alert(
    institution="uis.no/test",
    org_id="uis.no",
    submodule="wiseflow-begrunnelse",
    step="find_exam",
    code="wiseflow.flow_missing",
    cause="No flow.",
    next_action="Connect it.",
    correlation_id="the case",
)


def clock_in(days: float) -> ManualClock:
    """A clock that is this many days ahead."""
    clock = ManualClock()
    clock.pass_time((datetime.now(UTC) + timedelta(days=days) - clock.now()).total_seconds())
    return clock


def retention(database: Database, days: float, **settings: Any) -> Retention:
    """The retention as it will be in this many days."""
    queue = MeldingQ(database, clock_in(days), timedelta(seconds=60))
    clock = clock_in(days)
    cases = [Cases(database, clock, 14)]
    return Retention(database, cases, AuditLog(database), clock, RetentionSettings(**settings), queue.move_discarded)


def prune(database: Database, days: float, *, dry_run: bool = False, **settings: Any) -> dict[str, Removal]:
    report = retention(database, days, **settings).prune(dry_run=dry_run, asked_by="a test")
    return {removal.what: removal for removal in report.removals}


def fill_processed(database: Database, messages: int) -> None:
    """Insert messages that were finished today, with their keys."""
    now = datetime.now(UTC)
    ids = [f"message-{number:05}" for number in range(messages)]
    database.processed_messages.insert_many([{"_id": key, "finishedAt": now} for key in ids])
    database.received_keys.insert_many([{"_id": key, "firstSeen": now, "correlationId": f"of {key}"} for key in ids])


@pytest.fixture
def carried(world: World) -> Process:
    """Three cases that are registered and one that is set aside."""
    population = world.populate(institutions=1, courses=2, requests=3, variety=False)
    world.control.add_request(population["institutions"][0]["orgId"], oddity="no_candidate")
    process = world.process()
    world.carry(process)
    return process


def shown_of_each_case(process: Process) -> Any:
    """What operators see of every case."""
    cases = process.stores.database.cases.find({}, {"correlationId": 1})
    histories = [process.operators.histories.by_correlation_id(case["correlationId"]) for case in cases]
    return (
        [history.plain() for history in histories if history],
        process.operators.status.read().institutions,
        process.operators.completeness.account(),
    )


def read_everything_again(process: Process) -> tuple[int, int]:
    """Read all of FS and WISEflow from the first day. Returns how many messages are new."""
    institutions = process.stores.institutions.active()
    requests = process.capability(Explanations).reader.read_window(institutions, ALWAYS)
    answers = poll_answers(process, institutions, also_answered=True)
    return sum(len(outcome.accepted) for outcome in requests), answers.accepted


# Messages and keys


def test_pruning_processed_messages_changes_nothing_that_is_shown_of_their_cases(
    world: World, carried: Process
) -> None:
    before, calls = shown_of_each_case(carried), world.control.summary()["registered"]
    assert world.database.processed_messages.count_documents({}) == 6

    assert prune(world.database, 179)["processed_messages"].found == 0
    assert prune(world.database, 181)["processed_messages"].removed == 6

    assert world.database.processed_messages.count_documents({}) == 0
    assert shown_of_each_case(carried) == before
    (institution,) = carried.stores.institutions.active()
    (outcome,), ledger = read_ledger(carried, [institution], ALWAYS)
    assert (ledger.lost, ledger.registered, ledger.set_aside, len(outcome.accepted)) == (0, 3, 1, 0)
    assert read_everything_again(carried) == (0, 0), "the keys are kept longer"
    assert carried.synchronisation.run_batch().handled == 0
    assert world.control.summary()["registered"] == calls


def test_keys_are_pruned_when_messages_and_cases_are_done_and_nothing_is_accepted_again(
    world: World, carried: Process
) -> None:
    # Two years later answers are no longer checked for changes.
    world.database.cases.update_many(
        {"registeredAt": {"$exists": True}}, {"$set": {"registeredAt": datetime(2020, 1, 1, tzinfo=UTC)}}
    )
    before = shown_of_each_case(carried)[0]
    assert world.database.received_keys.count_documents({}) == 7

    gone = prune(world.database, 731)

    assert (gone["received_keys"].found, gone["received_keys"].spared, gone["received_keys"].removed) == (7, 1, 6)
    (kept,) = world.database.received_keys.find()
    (dead,) = world.database.messages.find()
    assert (kept["_id"], dead["status"]) == (dead["_id"], "dead"), "the message that waits for a person keeps its key"
    assert read_everything_again(carried) == (0, 0), "what we registered, FS lists as finished and we look at no more"
    assert shown_of_each_case(carried)[0] == before


def test_the_key_of_an_open_case_stays_at_any_age(world: World) -> None:
    """FS lists an open request as long as it is open."""
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    world.send(process)

    gone = prune(world.database, 5000)

    assert (gone["processed_messages"].removed, gone["received_keys"].spared) == (2, 2)
    assert (
        process.capability(Explanations).reader.read_window(process.stores.institutions.active(), ALWAYS)[0].accepted
        == ()
    )


def test_a_request_whose_key_is_lost_is_accepted_again_and_done_once(world: World) -> None:
    """We never do this; an operator with a shell might. The case, and WISEflow's own idempotency, prevent a second request."""
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    world.send(process)
    case_ids = {case["_id"] for case in world.database.cases.find()}
    asked = world.control.summary()["dispatched"]
    world.database.received_keys.delete_many({})
    world.database.processed_messages.delete_many({})

    assert world.send(process) == 2

    assert {case["_id"] for case in world.database.cases.find()} == case_ids
    assert world.control.summary()["dispatched"] == asked
    steps = [message["steps"]["request_explanation"]["result"] for message in world.database.processed_messages.find()]
    assert [step["created"] for step in steps] == [False, False]


def test_a_key_stays_as_long_as_its_processed_message(database: Database) -> None:
    """A message may have waited for years before it was finished."""
    fill_processed(database, 2)
    database.received_keys.update_many({}, {"$set": {"firstSeen": datetime(2020, 1, 1, tzinfo=UTC)}})

    gone = prune(database, 1)

    assert (gone["processed_messages"].found, gone["received_keys"].spared, gone["received_keys"].removed) == (0, 2, 0)


# How it is done


def everything(database: Database) -> list[list[dict[str, Any]]]:
    collections = (
        database.messages,
        database.processed_messages,
        database.received_keys,
        database.audit_log,
        database.cases,
        database.alerts,
        database.listeners,
    )
    return [sorted(collection.find(), key=lambda document: str(document["_id"])) for collection in collections]


def test_a_dry_run_counts_what_would_be_removed_and_changes_nothing(world: World, carried: Process) -> None:
    before = everything(world.database)

    dry = prune(world.database, 5000, dry_run=True)

    assert everything(world.database) == before
    real = prune(world.database, 5000)
    # In the dry run a key is kept because its message is still there. The real run has removed the message by then.
    assert dry["received_keys"].spared == 7
    assert real["received_keys"].spared == 1
    for what in ("processed_messages", "audit_entries", "alerts", "listeners"):
        assert dry[what].found == real[what].removed, what
    assert real["audit_entries"].removed > 0


def test_it_works_in_batches_and_stops_between_two_when_asked(database: Database) -> None:
    fill_processed(database, 25)
    stop = threading.Event()
    heard: list[int] = []

    def progress(removal: Removal) -> None:
        heard.append(removal.removed)
        if removal.removed == 20:
            stop.set()

    def go(stop: threading.Event) -> PruneReport:
        return retention(database, 200, batch_size=10).prune(
            dry_run=False, asked_by="a test", stop=stop, progress=progress
        )

    first = go(stop)
    assert (first.stopped, first.removed, heard) == (True, 20, [10, 20])
    assert database.received_keys.count_documents({}) == 25
    second = go(threading.Event())
    assert (second.stopped, second.removed) == (False, 5)
    assert database.processed_messages.count_documents({}) == 0


def test_several_at_once_remove_everything_and_count_it_once(database: Database) -> None:
    fill_processed(database, 300)

    def go(_number: int) -> int:
        return retention(database, 1000, batch_size=7).prune(dry_run=False, asked_by="a test").removed

    with ThreadPoolExecutor(4) as pool:
        removed = list(pool.map(go, range(4)))

    assert sum(removed) == 600
    assert database.processed_messages.count_documents({}) == database.received_keys.count_documents({}) == 0


def test_the_audit_has_who_removed_what_and_how_much(database: Database) -> None:
    fill_processed(database, 3)

    prune(database, 181)

    begun, ended = sorted(database.audit_log.find(), key=lambda entry: entry["step"] == "pruned")
    assert (begun["step"], ended["step"]) == ("prune_begun", "pruned")
    assert begun["correlationId"] == ended["correlationId"]
    assert begun["detail"]["askedBy"] == "a test"
    assert isinstance(begun["detail"]["processed_messages"], datetime)
    assert ended["detail"] == {
        "processed_messages": 3,
        "received_keys": 0,
        "audit_entries": 0,
        "alerts": 0,
        "listeners": 0,
        "stopped": False,
    }


@pytest.mark.parametrize(("audit_days", "left"), [(3653.0, 1), (0.0, 2)])
def test_the_audit_is_pruned_by_its_own_age_or_never(audit_days: float, left: int, database: Database) -> None:
    database.audit_log.insert_many([{"_id": "old", "time": datetime.now(UTC)}])

    gone = prune(database, 3650, audit_days=audit_days)
    assert gone.get("audit_entries", Removal("", datetime.now(UTC))).removed == 0
    prune(database, 3654, audit_days=audit_days)

    remaining = database.audit_log.count_documents({"_id": "old"})
    assert remaining == left - 1


# Alerts and listeners


def test_sent_alerts_are_pruned_and_pending_ones_stay(database: Database) -> None:
    now = datetime.now(UTC)
    database.alerts.insert_many(
        [
            {"_id": "sent", "state": "sent", "settledAt": now},
            {"_id": "muted", "state": "muted", "settledAt": now},
            {"_id": "owed", "state": "owed", "dueAt": now},
            {"_id": "sent before and pending again", "state": "owed", "settledAt": now, "dueAt": now},
        ]
    )

    assert prune(database, 89)["alerts"].found == 0
    assert prune(database, 91)["alerts"].removed == 2

    assert {alert["_id"] for alert in database.alerts.find()} == {"owed", "sent before and pending again"}


class PrunedInBetween:
    """The real collection. An alert is pruned in it just after its cause was found to exist."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.pruned = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database.alerts, name)

    def insert_one(self, document: dict[str, Any]) -> Any:
        try:
            return self._database.alerts.insert_one(document)
        except DuplicateKeyError:
            self.pruned += prune(self._database, 91)["alerts"].removed
            raise


@pytest.mark.parametrize("fold", [timedelta(hours=1), timedelta(0)])
def test_an_alert_stays_pending_even_if_its_cause_is_pruned_at_that_moment(
    fold: timedelta, database: Database, mongodb_settings: MongoDBSettings
) -> None:
    outbox = AlertOutbox(database, clock_in(0), fold)
    outbox.enqueue(ALERT)
    (claimed,) = outbox.claim(1, timedelta(seconds=1))
    outbox.settle(claimed, "sent")
    between = PrunedInBetween(database)
    with closing(Database(mongodb_settings)) as own:
        own.alerts = cast("Collection[Document]", between)
        AlertOutbox(own, clock_in(0), fold).enqueue(ALERT)

    (alert,) = database.alerts.find()
    assert (between.pruned, alert["state"], alert["correlationIds"]) == (1, "owed", ["the case"])


def test_a_killed_listeners_document_is_pruned(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=0)
    process = world.process()
    process.register_listener(process.listener())

    assert prune(world.database, 0.5)["listeners"].found == 0
    assert process.operators.status.listeners_alive() == 1
    assert prune(world.database, 1.1)["listeners"].removed == 1


# The command


def test_the_command_shows_first_and_removes_with_the_option(
    world: World, carried: Process, processes: Processes
) -> None:
    world.database.processed_messages.update_many({}, {"$set": {"finishedAt": datetime(2020, 1, 1, tzinfo=UTC)}})

    dry = processes.run("prune", "--json")
    assert (dry.exit_code, dry.json()["found"], dry.json()["removed"], dry.json()["dry_run"]) == (DONE, 6, 0, True)
    assert "Dry run: add --for-real" in processes.run("prune").output
    real = processes.run("prune", "--for-real", "--json")

    assert (real.exit_code, real.json()["removed"]) == (DONE, 6)
    assert world.database.processed_messages.count_documents({}) == 0
    (begun,) = world.audit(step="prune_begun")
    assert begun["detail"]["askedBy"] == getpass.getuser()
    (history,) = processes.run("where", begun["correlationId"], "--json").json()
    assert "processed_messages=6" in history["milestones"][-1]["told"]


def test_the_command_refuses_settings_that_would_let_a_message_in_again(world: World, processes: Processes) -> None:
    refused = processes.run("prune", CASEBRIDGE_RETENTION__RECEIVED_KEY_DAYS="100")

    assert refused.exit_code == MISUSED
    assert "CASEBRIDGE_RETENTION__RECEIVED_KEY_DAYS is 100, and must be no shorter than" in refused.notes
