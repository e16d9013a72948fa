"""The simulators as a process: they print one line when they listen, and end at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from simulators.process import PROJECT_ROOT, running

pytestmark = pytest.mark.contract

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "simulators", "--with-parent"], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_one_line_has_all_addresses_and_all_of_them_listen() -> None:
    with running() as simulators:
        addresses = simulators.addresses
        assert set(addresses) == {"fs", "wiseflow", "laas", "slack_api", "slack_webhook", "control"}
        assert requests.get(f"{addresses['fs']}/versjon", timeout=10).status_code == 401
        assert requests.post(f"{addresses['wiseflow']}/oauth2/token", timeout=10).status_code == 400
        assert requests.get(addresses["laas"], timeout=10).status_code == 404
        assert requests.post(f"{addresses['slack_api']}api.test", timeout=10).json()["ok"] is True
        assert simulators.control.summary()["requests"] == 0


def test_sigterm_ends_it_at_once_even_with_a_call_under_way() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators"], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        address = json.loads(output.readline())["control"]
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{address}/wait?condition=registered&count=1&timeout_s=60", timeout=0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert output.read() == ""


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    with parent.stdin, parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait(10)
        gone, alive = psutil.wait_procs([child], timeout=10)
        for left in alive:
            left.kill()
        assert gone
