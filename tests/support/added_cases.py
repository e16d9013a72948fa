"""A request that a test adds to its world: the simulators' case, our case, and what was set aside."""

from typing import Any

from casebridge.operators.dead_letter import DeadLetterFilter
from resources.wiring.process import Process
from tests.support.world import World


def add(world: World, **order: Any) -> dict[str, Any]:
    return world.control.add_request(str(world.control.cases()[0]["orgId"]), **order)


def case_of(world: World, added: dict[str, Any]) -> dict[str, Any]:
    return next(case for case in world.control.cases() if case["caseId"] == added["caseId"])


def ours(world: World, added: dict[str, Any]) -> dict[str, Any]:
    return world.database.cases.find_one({"personlopenr": added["personlopenr"], "vurdId": added["examId"]}) or {}


def codes(process: Process) -> dict[str, int]:
    return process.operators.dead_letters.find(DeadLetterFilter(), 20).by_code
