"""A row is removed in FS while the exam has a malformed row without a person. It may be the same row, so nobody can tell yet."""

from datetime import timedelta

from tests.support.added_cases import add, case_of, ours
from tests.support.explanation_rounds import read_requests
from tests.support.world import World

ALL = timedelta(days=30)


def waiting_messages(world: World) -> int:
    """The malformed row has a message without a case, which an operator discards. It is not counted."""
    return world.database.messages.count_documents({"payload.caseId": {"$ne": None}})


def test_a_request_waits_until_the_malformed_row_is_corrected_and_is_then_withdrawn(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.carry(process)
    institutions = process.stores.institutions.active()
    removed = add(world, hold=True)
    malformed = add(world, examId=removed["examId"], omit=["personlopenr"], expected="odd_row")
    world.control.release(1)
    read_requests(process, institutions, reach_back=ALL)
    world.control.withdraw(removed["caseId"], how="removed")

    read_requests(process, institutions, reach_back=ALL)
    process.synchronisation.run_batch()
    waiting = world.database.messages.find_one({"payload.caseId": ours(world, removed)["_id"]})
    assert waiting is not None
    assert waiting["errors"][-1]["code"] == "fs.row_unreadable_now"
    assert ours(world, removed)["state"] == "requested", "the malformed row may be this one"

    world.control.change(malformed["caseId"], raw={}, omit=[], expected="registered")

    def is_settled() -> bool:
        # The poll withdraws the case. The message sees it at its next attempt.
        states = (ours(world, removed)["state"], case_of(world, malformed)["state"])
        return states == ("withdrawn", "registered") and not waiting_messages(world)

    world.carry_until(process, is_settled, "the one is withdrawn, the other is registered, and no message waits")
    assert world.control.summary()["dispatched_to_wrong_participant"] == 0
