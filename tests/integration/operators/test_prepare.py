"""`casebridge prepare` on a database of another program or an early release, with several messages of a case in work at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from casebridge.exams.explanations import request_intake
from command_line.main import application
from tests.support.world import World

AT = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
LEFT: dict[str, list[dict[str, Any]]] = {
    "one case without orderingKey": [{"correlationId": "c-1"}, {"correlationId": "c-1"}],
    "two cases without orderingKey": [{"correlationId": "c-1"}, {"correlationId": "c-2"}],
    "one case with orderingKey": [{"correlationId": "c-1", "orderingKey": "k"}, {"correlationId": "c-1", "orderingKey": "k"}],
    "one case with and without": [{"correlationId": "c-1", "orderingKey": "k"}, {"correlationId": "c-1"}],
    "no field that identifies the case": [{}, {}],
    "malformed": [{"orderingKey": 5, "enqueuedAt": None, "fence": "x"}, {"orderingKey": 5, "errors": "x", "correlationId": 7}],
}  # fmt: skip
WAIT_AGAIN = {"one case without orderingKey": 1, "one case with orderingKey": 1, "one case with and without": 1}


@pytest.mark.parametrize("left", LEFT)
def test_a_database_with_two_messages_of_a_case_at_work_is_prepared(
    left: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    key = world.process().stores.institutions.active()[0].key
    org_id, env = key.split("/")
    world.database.messages.drop_indexes()
    for number, fields in enumerate(LEFT[left]):
        message = {
            "_id": f"m-{number}", "status": "processing", "queue": request_intake.QUEUE, "orgId": org_id, "env": env,
            "institution": key, "examSystem": "WISEFLOW", "enqueuedAt": AT + timedelta(minutes=number), "dueAt": AT,
            "payload": {},
        }  # fmt: skip
        world.database.messages.insert_one({**message, **fields})

    prepared = CliRunner().invoke(application, ["prepare"])
    again = CliRunner().invoke(application, ["prepare"])

    assert (prepared.exit_code, again.exit_code) == (0, 0), prepared.output
    assert "casebridge.twice_at_work" not in again.output
    assert "orderingKey_1" in world.database.messages.index_information()
    waiting = list(world.database.messages.find({"status": "failed"}))
    assert len(waiting) == WAIT_AGAIN.get(left, 0)
    for message in waiting:
        assert message["_id"] == "m-1", "the first one stays in work"
        assert message["errors"][-1]["code"] == "casebridge.twice_at_work"
        assert "1 messages wait again" in prepared.output
    # All are handled: those in work when their lease ends, and those that wait after them.
    process = world.process()
    world.carry_until(
        process,
        lambda: world.database.messages.count_documents({"status": "dead"}) == 2,
        "both, being empty, are set aside",
    )
