"""The short soak: `make soak` in a minute and a half. Whatever goes wrong, the books balance.

`CASEBRIDGE_TEST_SEED` repeats the world, the faults and their order, as far as so many processes can be repeated.
"""

import os
import random
import sys

import pytest

from tests.soak.faults import BAD_ANSWERS
from tests.soak.plan import FEWEST, Kind
from tests.soak.soak import soak

MESSAGES = 600
BAD_SECONDS = 60.0


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
    assert (result.lost, result.twice, result.out_of_order, result.audit_gaps) == (0, 0, 0, 0)
    assert result.redelivered <= result.kills + result.freezes + result.cuts
    assert result.messages >= MESSAGES
    # what went wrong did go wrong, and whoever was alive at the end could end in order
    assert {kind: report.faults[kind] for kind in Kind} == FEWEST
    assert report.bad_answers >= {(system, bad["kind"]) for system in ("fs", "wiseflow") for bad in BAD_ANSWERS}
    assert set(report.exit_codes.values()) == {0}
