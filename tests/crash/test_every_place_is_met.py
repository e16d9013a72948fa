"""The matrix of crashes is complete: every crash point, in every kind of process that can reach it, killed and defective.

    listener       killed: `test_killed_listener`       defective: `test_defective_listener`
    Dagster run    killed and defective: `test_killed_dagster_run`
    `sync`         killed: `test_killed_reader`         defective: `test_defect_at_each_place`

Those tests take the crash points from `CRASH_POINTS` itself, without those that a listener never reaches. The tests here show
that it does not reach them, and that the other processes reach all of theirs.
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


def test_a_listener_reaches_all_crash_points_but_those_of_reading(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener handles messages of the inbox. Others read FS and WISEflow, so it accepts nothing and moves no watermark."""
    queue_two_answers_and_two_requests(world)
    listener, stop = world.process().listener(), threading.Event()
    passed = listen_for_passes(monkeypatch)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()

    wait_until(lambda: world.database.messages.count_documents({}) == 0, "everything is handled")
    stop.set()
    thread.join()

    assert set(passed) == set(CRASH_POINTS) - set(READING)


def test_a_dagster_run_reaches_all_crash_points(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    show_answers(world)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    passed = listen_for_passes(monkeypatch)

    with dg.DagsterInstance.ephemeral() as instance:
        assert execute("sync_now", instance)

    assert set(passed) == set(CRASH_POINTS)
