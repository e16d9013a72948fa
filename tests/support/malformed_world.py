"""A world in which something malformed is sent, and carried as far as it goes."""

from typing import Any

from casebridge.messaging.queue.message import UNFINISHED
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.bridge import Bridge
from tests.support.world import World

PLAIN: dict[str, Any] = {"institutions": 2, "courses": 2, "requests": 4, "variety": False}
OTHERS = 4
"""Requests of `PLAIN`, in which nothing is malformed."""


def settled(world: World) -> bool:
    """Nothing is on its way any more."""
    waiting = {"status": {"$in": [status.value for status in UNFINISHED]}}
    return world.database.messages.count_documents(waiting) == 0


def first_org(population: dict[str, Any]) -> str:
    return str(population["institutions"][0]["orgId"])


def requests_of(world: World, org_id: str) -> int:
    return sum(case["orgId"] == org_id for case in world.control.cases())


def carry(world: World, bridge: Bridge | None = None) -> Bridge:
    bridge = bridge or world.bridge()
    world.carry_until(bridge, lambda: settled(world), "every message is processed or dead")
    return bridge


def replay_all(bridge: Bridge) -> None:
    bridge.dead_letters.replay(DeadLetterFilter(), Order(100, dry_run=False, reason="mended", asked_by="a test"))
