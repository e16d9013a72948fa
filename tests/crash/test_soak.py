"""The short soak: `make soak` in one minute. Whatever faults happen, all counts are 0.

`CASEBRIDGE_TEST_SEED` repeats the simulated data, the faults and their order. How the processes interleave differs.
"""

import os
import random
import sys

import pytest

from tests.soak.data_faults import DataFault
from tests.soak.faults import BAD_ANSWERS
from tests.soak.plan import FEWEST, FaultKind
from tests.soak.server import VARIABLE
from tests.soak.soak import FAILURES, soak

MESSAGES = 400
BAD_SECONDS = 40.0
FEWEST_HERE = {
    kind: fewest
    for kind, fewest in FEWEST.items()
    if kind is not FaultKind.SERVER_RESTART or not os.environ.get(VARIABLE)
}
"""A server given by address is not killed."""


@pytest.fixture
def seed(capsys: pytest.CaptureFixture[str]) -> int:
    """Printed also when the test passes."""
    chosen = int(os.environ.get("CASEBRIDGE_TEST_SEED") or random.SystemRandom().randrange(2**31))
    with capsys.disabled():
        sys.stdout.write(f"\nCASEBRIDGE_TEST_SEED={chosen} ")
    return chosen


@pytest.mark.timeout(420)
def test_nothing_is_lost_and_nothing_is_done_twice(seed: int) -> None:
    report = soak(messages=MESSAGES, seconds=BAD_SECONDS, seed=seed)

    result = report.result
    found = {name: getattr(result, name) for name in FAILURES}
    assert found == dict.fromkeys(FAILURES, 0), f"evidence: {result.evidence}"
    assert result.redelivered <= result.kills + result.freezes + result.cuts
    assert result.messages >= MESSAGES
    # every planned fault happened, and the processes at the end stopped in order
    assert {kind: report.faults[kind] for kind in FaultKind if kind in FEWEST_HERE} == FEWEST_HERE
    assert set(report.data_faults) == set(DataFault)
    assert report.bad_answers >= {(system, bad["kind"]) for system in ("fs", "wiseflow") for bad in BAD_ANSWERS}
    assert set(report.exit_codes.values()) == {0}
