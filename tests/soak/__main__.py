"""`python -m tests.soak`: one soak, with its progress on standard error and its result as one JSON object on standard output."""

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import Final

from tests.soak.soak import EVIDENCE, soak

VARIABLE: Final = "CASEBRIDGE_SOAK_EVIDENCE"


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="messages of the queue, at least")
    parser.add_argument("--seconds", type=float, default=900.0, help="longest time of the part with faults")
    parser.add_argument("--seed", type=int, default=None, help="repeats the simulated data, the faults and their order")
    parser.add_argument(
        "--evidence", type=Path, default=os.environ.get(VARIABLE) or EVIDENCE,
        help=f"folder for the evidence of a soak that fails; by default that of {VARIABLE}, or .casebridge/soak",
    )  # fmt: skip
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(2**31)
    result = soak(messages=asked.messages, seconds=asked.seconds, seed=seed, evidence=asked.evidence).result
    sys.stdout.write(json.dumps(result.plain()) + "\n")
    sys.exit(0 if result.is_good else 1)


if __name__ == "__main__":
    main()
