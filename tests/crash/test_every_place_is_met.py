"""The matrix of crashes is whole: every named place, in every kind of process that can come to it, killed and defective.

    listener       killed: `test_killed_listener`       defective: `test_defective_listener`
    Dagster run    killed and defective: `test_killed_dagster_run`
    `sync`         killed: `test_killed_reader`         defective: `test_defect_at_each_place`

Those tests take the places from `CRASH_POINTS` itself, but for those that a listener never comes to. That it does not, and that
the work of the others comes to all of them, is shown here.
"""

import threading

import dagster as dg
import pytest

from casebridge.crash_points import CRASH_POINTS
from tests.crash.test_killed_listener import READING, queue_two_answers_and_two_requests, show_answers
from tests.support.crash_points_passed import listen_for_passes
from tests.support.dagster_run import execute
from tests.support.waiting import wait_until
from tests.support.world import World


def test_a_listener_comes_to_all_places_but_those_of_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It handles what is in the inbox: FS and WISEflow are read by others, so it accepts nothing and moves no watermark."""
    queue_two_answers_and_two_requests(world)
    listener, stop = world.process().listener(), threading.Event()
    passed = listen_for_passes(monkeypatch)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()

    wait_until(lambda: world.database.messages.count_documents({}) == 0, "everything is handled")
    stop.set()
    thread.join()

    assert set(passed) == set(CRASH_POINTS) - set(READING)


def test_a_dagster_run_comes_to_all_places(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    show_answers(world)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    passed = listen_for_passes(monkeypatch)

    with dg.DagsterInstance.ephemeral() as instance:
        assert execute("sync_now", instance)

    assert set(passed) == set(CRASH_POINTS)
