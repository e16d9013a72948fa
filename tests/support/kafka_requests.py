"""The records that FS would send by Kafka: the open requests of a simulated world (contract 2.2)."""

import json
from typing import Any

from resources.wiring.process import Process
from tests.support.world import World


def request_values(world: World, process: Process) -> list[bytes]:
    """One record for each request that FS lists, read with our client of FS."""
    values = []
    for institution in process.stores.institutions.active():
        registry = process.clients.student_registry(institution)
        exams = {case["examId"] for case in world.control.cases() if case["orgId"] == institution.org_id}
        for vurd_id in sorted(exams):
            values += [
                request_value(institution.org_id, institution.env, row) for row in registry.explanation_rows(vurd_id)
            ]
    return values


def request_value(org_id: str, env: str, row: dict[str, Any], **changes: Any) -> bytes:
    """The record of one row of FS. `changes` replace its fields."""
    begrunnelse = {name: value for name, value in row.items() if name != "examId"}
    wrapper = {"vurdId": row["examId"], "examSys": "WISEFLOW", "orgId": org_id, "env": env, "begrunnelse": begrunnelse}
    return json.dumps({**wrapper, **changes}).encode()
