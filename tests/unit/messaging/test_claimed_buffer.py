"""Claimed messages are handed out institution by institution. No institution gets more workers than its share."""

from collections import Counter
from datetime import UTC, datetime

from casebridge.messaging.listener.claimed_buffer import ClaimedBuffer
from casebridge.messaging.queue.message import Message, NewMessage

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def message(institution: str, number: int) -> Message:
    key = f"{institution}{number}"
    new = NewMessage(key, "a queue", institution, "test", key, f"correlation-{key}", {}, exam_system="WISEFLOW")
    return Message.from_document(new.document(NOW))


def hand_out(buffer: ClaimedBuffer, in_work: Counter[str]) -> list[str]:
    keys = []
    while begun := buffer.next(in_work):
        in_work[begun.tenant] += 1
        keys.append(begun.key)
    return keys


def test_each_institution_gets_one_message_per_round() -> None:
    buffer = ClaimedBuffer(most=10)
    buffer.add([message("a", number) for number in range(4)])
    buffer.add([message("b", number) for number in range(2)])
    assert hand_out(buffer, Counter()) == ["a0", "b0", "a1", "b1", "a2", "a3"]
    assert len(buffer) == 0


def test_an_institution_with_a_full_share_waits_and_the_others_do_not() -> None:
    buffer = ClaimedBuffer(most=2)
    buffer.add([message("slow", number) for number in range(5)])
    in_work: Counter[str] = Counter()
    assert hand_out(buffer, in_work) == ["slow0", "slow1"]
    buffer.add([message("quick", 0)])
    assert hand_out(buffer, in_work) == ["quick0"]
    in_work["slow/test/WISEFLOW"] -= 1
    assert hand_out(buffer, in_work) == ["slow2"]


def test_messages_that_were_not_begun_can_be_released() -> None:
    buffer = ClaimedBuffer(most=1)
    buffer.add([message("a", 0), message("a", 1), message("b", 0)])
    hand_out(buffer, Counter())
    assert [left.key for left in buffer.take_all()] == ["a1"]
    assert len(buffer) == 0
