"""A world in which an outside system sends something malformed, and casebridge handles it as far as it can."""

from typing import Any

from casebridge.messaging.queue.message import UNFINISHED
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.world import World

PLAIN: dict[str, Any] = {"institutions": 2, "courses": 2, "requests": 4, "variety": False}
OTHERS = 4
"""How many requests `PLAIN` has. None of them is malformed."""


def settled(world: World) -> bool:
    """No message is unfinished."""
    waiting = {"status": {"$in": [status.value for status in UNFINISHED]}}
    return world.database.messages.count_documents(waiting) == 0


def first_org(population: dict[str, Any]) -> str:
    return str(population["institutions"][0]["orgId"])


def requests_of(world: World, org_id: str) -> int:
    return sum(case["orgId"] == org_id for case in world.control.cases())


def carry(world: World, process: Process | None = None) -> Process:
    process = process or world.process()
    world.carry_until(process, lambda: settled(world), "every message is processed or dead")
    return process


def replay_all(process: Process) -> None:
    process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(100, dry_run=False, reason="mended", asked_by="a test")
    )
