"""Isolated messages: nothing runs beside one, and ordinary work runs in between."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from casebridge.messaging.listener.claimed_buffer import ClaimedBuffer
from casebridge.messaging.listener.isolated import IsolatedMessages
from casebridge.messaging.queue.message import Message, NewMessage
from tests.support.manual_clock import ManualSeconds

NOW = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)


def message(key: str, *, isolated: bool = False, **stored: Any) -> Message:
    new = NewMessage(key, "queue", "uis.no", "test", key, key, {}, exam_system="WISEFLOW")
    claimed = Message.from_document({**new.document(NOW), **stored})
    claimed.isolated = isolated
    return claimed


def test_an_isolated_message_waits_for_the_others_and_they_wait_for_it() -> None:
    buffer, in_work = ClaimedBuffer(10), Counter[str]()
    ordinary, suspect = message("ordinary"), message("suspect", isolated=True)
    buffer.add([ordinary])
    assert buffer.next(in_work) is ordinary
    in_work["uis.no/test"] = 1
    buffer.add([suspect, message("later")])

    assert buffer.next(in_work) is None, "nothing more begins"
    in_work["uis.no/test"] = 0
    buffer.ended(ordinary)
    assert buffer.next(in_work) is suspect
    in_work["uis.no/test"] = 1
    assert buffer.next(in_work) is None, "nothing begins beside it"
    in_work["uis.no/test"] = 0
    buffer.ended(suspect)
    later = buffer.next(in_work)
    assert later is not None
    assert later.key == "later"


def test_an_isolated_message_is_released_with_the_rest_and_blocks_no_claim() -> None:
    buffer = ClaimedBuffer(10)
    buffer.add([message("suspect", isolated=True), message("ordinary")])
    assert len(buffer) == 1
    assert {each.key for each in buffer.take_all()} == {"suspect", "ordinary"}
    assert buffer.next(Counter()) is None


def test_ordinary_work_gets_as_much_time_as_it_was_stopped() -> None:
    time = ManualSeconds()
    quarantine = IsolatedMessages(time.monotonic)
    quarantine.add(message("one", isolated=True))
    quarantine.add(message("two", isolated=True))
    assert quarantine.wants_turn
    time.now += 2
    one = quarantine.begin()
    assert one is not None
    time.now += 3
    quarantine.ended(one)
    time.now += 4.9
    assert not quarantine.wants_turn
    time.now += 0.2
    assert quarantine.wants_turn


def test_a_message_whose_worker_died_before_goes_first() -> None:
    quarantine = IsolatedMessages()
    quarantine.add(message("innocent", isolated=True))
    quarantine.add(suspicious())
    first = quarantine.begin()
    assert first is not None
    assert first.key == "suspicious"


def suspicious() -> Message:
    claimed = message("suspicious", isolated=True)
    claimed.stored["alone"] = True
    return claimed
