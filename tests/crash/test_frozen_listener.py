"""A listener freezes for longer than its lease (a paused machine, a full disk). It comes back as a zombie and does no harm."""

import signal

from tests.crash.test_killed_listener import carry_to_the_end
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 6


def test_a_zombie_writes_nothing(world: World, processes: Processes) -> None:
    world.configure(queue={"lease_seconds": 1.0, "workers": 2})
    world.populate(institutions=1, courses=1, requests=REQUESTS, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    world.control.faults({"system": "wiseflow", "kind": "latency", "seconds": 0.3})
    zombie = processes.listener()
    world.control.wait("calls", 3, system="wiseflow")

    zombie.process.send_signal(signal.SIGSTOP)
    world.control.clear_faults()
    processes.listener()
    carry_to_the_end(world)
    zombie.process.send_signal(signal.SIGCONT)

    wait_until(lambda: "another worker has taken over" in zombie.log.read_text(), "the zombie has tried to write")
    assert zombie.stop() == 0
    check_everything(world, REQUESTS)
    summary = world.control.summary()
    assert (summary["dispatched"], summary["repeated_posts"]) == (REQUESTS, 0)
