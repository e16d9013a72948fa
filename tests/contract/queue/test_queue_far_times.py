"""Stored messages with times in the far future: none waits for ever, and no other message waits for it.

No release writes such a time, because no wait of ours is longer than a day. A person or another program may.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from casebridge.clock import FAR_AHEAD
from casebridge.database import Database
from casebridge.messaging.queue.claims import BLOCKED_WAIT
from casebridge.messaging.queue.malformed_documents import OTHERS_LEASE
from casebridge.settings import LONGEST_WAIT_SECONDS
from tests.contract.queue.test_queue_malformed_documents import of_contract_11
from tests.support.absent import ABSENT
from tests.support.queue_calls import QueueCalls, new_message

YEAR_9999: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
IN_2030: Final = datetime(2030, 1, 1, tzinfo=UTC)
UNFINISHED: Final = ("enqueued", "failed", "processing")
TIMES: Final = (
    "enqueuedAt", "dueAt", "startedAt", "processingAt", "finishedAt", "discardedAt", "replayedAt", "effectsDueAt",
    "undeliveredAt",
)  # fmt: skip
"""Every field of a live message in which a release, or contract 11, stores a time."""
WHOSE: Final = {"orgId": "uis.no", "env": "test", "examSystem": "WISEFLOW"}


@pytest.mark.parametrize("due_at", [YEAR_9999, IN_2030], ids=["9999", "2030"])
@pytest.mark.parametrize("status", UNFINISHED)
def test_a_message_that_is_due_far_ahead_is_due_now(status: str, due_at: datetime, database: Database) -> None:
    queue = QueueCalls(database)
    queue.accept(new_message("far"))
    database.messages.update_one({"_id": "far"}, {"$set": {"status": status, "dueAt": due_at}})

    message = queue.claim_one("far")

    assert queue.finish(message)


@pytest.mark.parametrize("status", UNFINISHED)
def test_later_messages_of_its_case_are_not_put_off_with_it(status: str, database: Database) -> None:
    queue = QueueCalls(database)
    queue.accept(new_message("far", "a case"), new_message("later", "a case"))
    database.messages.update_one({"_id": "far"}, {"$set": {"status": status, "dueAt": YEAR_9999}})

    assert queue.finish(queue.claim_one("far"))

    queue.pass_time(BLOCKED_WAIT)
    assert queue.finish(queue.claim_one("later"))


def test_a_message_that_an_earlier_release_put_off_behind_it_is_due_again(database: Database) -> None:
    queue = QueueCalls(database)
    queue.accept(new_message("later"))
    database.messages.update_one({"_id": "later"}, {"$set": {"dueAt": YEAR_9999}})
    assert queue.finish(queue.claim_one("later"))


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("status", UNFINISHED)
def test_a_message_and_its_case_go_on_whichever_time_is_far_ahead(status: str, name: str, database: Database) -> None:
    queue = QueueCalls(database)
    queue.accept(new_message("far", "a case"))
    now = queue.clock.now()
    # `processing` with a lease that has ended.
    database.messages.update_one({"_id": "far"}, {"$set": {"status": status, "dueAt": now, name: YEAR_9999}})

    assert queue.finish(queue.claim_one("far"))
    queue.accept(new_message("later", "a case"))
    assert queue.finish(queue.claim_one("later"))


@pytest.mark.parametrize("due_at", [ABSENT, IN_2030], ids=["not due", "as an earlier release adopted it"])
@pytest.mark.parametrize("begun", [IN_2030, YEAR_9999], ids=["2030", "9999"])
def test_a_claim_of_another_program_dated_in_the_future_lasts_from_now(
    begun: datetime, due_at: object, database: Database
) -> None:
    queue = QueueCalls(database)
    message: dict[str, Any] = of_contract_11(1, **WHOSE, status="processing", processingAt=begun, dueAt=due_at)
    database.messages.insert_one({name: value for name, value in message.items() if value is not ABSENT})

    assert queue.claim() == {}
    assert queue.due_at("contract 1") == queue.clock.now() + OTHERS_LEASE
    queue.pass_time(OTHERS_LEASE)
    assert queue.finish(queue.claim_one("contract 1"))


def test_the_longest_wait_of_ours_is_waited_for(database: Database) -> None:
    """A rate limit may ask for a day, and some jitter is added to it."""
    queue = QueueCalls(database)
    queue.accept(new_message("waits"))
    longest = timedelta(seconds=1.24 * LONGEST_WAIT_SECONDS)
    assert longest < FAR_AHEAD
    due_at = queue.clock.now() + longest
    database.messages.update_one({"_id": "waits"}, {"$set": {"dueAt": due_at}})

    assert queue.claim() == {}
    assert queue.due_at("waits") == due_at
    queue.pass_time(longest)
    assert queue.finish(queue.claim_one("waits"))


@pytest.mark.parametrize("status", ["dead", "discarded"])
@pytest.mark.parametrize("due_at", [ABSENT, YEAR_9999], ids=["not due", "9999"])
def test_a_dead_message_is_not_changed(status: str, due_at: object, database: Database) -> None:
    queue = QueueCalls(database)
    document = {**new_message("settled").document(queue.clock.now()), "status": status, "dueAt": due_at}
    stored = {name: value for name, value in document.items() if value is not ABSENT}
    database.messages.insert_one(stored)

    assert queue.claim() == {}

    assert queue.document("settled") == stored
