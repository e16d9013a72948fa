"""An answer that is submitted again with the same text ends like every other message."""

from tests.support.explanation_rounds import poll_answers
from tests.support.world import World


def test_the_message_of_an_unchanged_answer_is_finished(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.carry(process)
    (case,) = world.control.cases()

    for _ in range(2):
        world.control.change_answer(case["explanationRequestId"], "Den samme teksten.")
        poll_answers(process, process.stores.institutions.active(), also_answered=True)
        assert process.synchronisation.run_batch().by_status == {"processed": 1}

    assert world.database.messages.count_documents({}) == 0
    assert world.control.summary()["registrations"] == 2
