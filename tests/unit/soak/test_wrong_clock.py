"""The wrong clocks of the soak: the process gets a wrong time of day, and nothing else changes."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.soak.wrong_clock import set_wrong

PROGRAM = """
import json, sys, time
from datetime import UTC, datetime
from bson import decode, encode
now = datetime.now(UTC)
stored = decode(encode({"at": now}))["at"]
print(json.dumps([time.time(), now.timestamp(), isinstance(stored, datetime), isinstance(now, datetime), sys.argv[1:]]))
"""


@pytest.mark.parametrize("hours", [-30, 0, 30])
def test_the_time_of_day_is_wrong_by_what_the_file_says(hours: int, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    set_wrong(tmp_path / "clock", 3600.0)
    set_wrong(tmp_path / "clock", hours * 3600.0)
    completed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.soak.wrong_clock",
            tmp_path / "clock",
            tmp_path / "program.py",
            "an argument",
        ],
        capture_output=True,
        check=True,
    )
    seconds, now, *same, arguments = json.loads(completed.stdout)
    right = (datetime.now(UTC) + timedelta(hours=hours)).timestamp()
    assert seconds == pytest.approx(right, abs=60.0)
    assert now == pytest.approx(right, abs=60.0)
    assert same == [True, True]
    assert arguments == ["an argument"]
