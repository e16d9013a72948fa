"""The main job: a request goes from FS to WISEflow and its answer back to FS, and everybody who must know is informed."""

from tests.support.world import World


def test_every_request_is_registered_once_with_the_right_text(world: World) -> None:
    world.populate(institutions=12, courses=20, requests=60)
    process = world.process()

    world.carry(process)

    summary = world.control.summary()
    assert summary["registered"] == summary["requests"] == 60
    assert summary["registered_twice"] == 0
    assert summary["wrong_text"] == 0
    assert summary["outstanding"] == 0
    assert world.database.messages.count_documents({}) == 0, "nothing is owed any more"
    assert world.database.processed_messages.count_documents({}) == 120
