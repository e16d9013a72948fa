"""Messages of a capability without an exam system use all operations of the queue, in a lane of their own."""

from datetime import timedelta

import pytest

from casebridge.database import Database
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import MessageStatus
from casebridge.tenant import NO_EXAM_SYSTEM, UNKNOWN, tenant_key
from tests.contract.queue.test_queue_malformed_documents import of_contract_11
from tests.support.queue_calls import QUEUE, QueueCalls, new_message

INSTITUTION = "uis.no/test"
RETRY = timedelta(seconds=15)


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    return QueueCalls(database)


def test_it_is_claimed_and_finished(queue: QueueCalls) -> None:
    queue.accept(new_message("one", exam_system=NO_EXAM_SYSTEM))

    message = queue.claim_one("one")

    assert (message.exam_system, message.tenant, message.unreadable) == (NO_EXAM_SYSTEM, f"{INSTITUTION}/", ())
    assert queue.finish(message, "effect one")
    assert queue.document("one")["examSystem"] == NO_EXAM_SYSTEM
    assert [pending.institution for pending in queue.deliver_pending()] == [INSTITUTION]


def test_it_is_tried_again_set_aside_and_replayed(queue: QueueCalls) -> None:
    queue.accept(new_message("one", exam_system=NO_EXAM_SYSTEM))
    queue.fail(queue.claim_one("one"), MessageStatus.FAILED, RETRY)
    assert queue.claim() == {}
    queue.pass_time(RETRY)
    queue.fail(queue.claim_one("one"), MessageStatus.DEAD)
    assert queue.claim() == {}

    assert queue.replay("one") == 1

    again = queue.claim_one("one")
    assert (again.attempts, again.exam_system) == (1, NO_EXAM_SYSTEM)
    queue.release(again)
    queue.fail(queue.claim_one("one"), MessageStatus.DEAD)
    assert queue.discard("one") == 1


def test_it_is_in_a_lane_of_its_own(queue: QueueCalls, database: Database) -> None:
    """Its lane is not the one for messages of other programs that do not name their exam system."""
    database.messages.insert_one(of_contract_11(1, orgId="uis.no", env="test"))
    queue.accept(new_message("one", exam_system=NO_EXAM_SYSTEM), new_message("two"))

    claimed = queue.claim()

    systems = {key: message.exam_system for key, message in claimed.items()}
    assert systems.pop("one") == NO_EXAM_SYSTEM
    assert systems.pop("two") == "WISEFLOW"
    assert list(systems.values()) == [UNKNOWN]
    assert queue.lanes() == {Lane(INSTITUTION, QUEUE, system) for system in (NO_EXAM_SYSTEM, "WISEFLOW", None)}


def test_notifications_and_pauses_distinguish_the_lanes() -> None:
    none, wiseflow, unsaid = (Lane(INSTITUTION, QUEUE, system) for system in (NO_EXAM_SYSTEM, "WISEFLOW", None))

    assert [unsaid.covers(lane) for lane in (none, wiseflow, unsaid)] == [True, True, True]
    assert [none.covers(lane) for lane in (none, wiseflow, unsaid)] == [True, False, False]

    whole, alone = {INSTITUTION}, {tenant_key(INSTITUTION, NO_EXAM_SYSTEM)}
    assert [lane.is_among(whole) for lane in (none, wiseflow, unsaid)] == [True, True, True]
    assert [lane.is_among(alone) for lane in (none, wiseflow, unsaid)] == [True, False, False]
