"""Dagster on one machine: code server, web server and daemon, with a home of their own.

Web server and daemon use the same code server. With a module in `workspace.yaml`, each of them would load the code itself.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import requests

from local_servers.child_process import Child, Children, free_port

READY_SECONDS: Final = 90.0
ANSWER_SECONDS: Final = 10.0
NEEDED_DAEMONS: Final = {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"}


class DagsterServers:
    """Starts the servers at once. `wait_until_ready` returns when the UI answers and all needed daemons report as healthy."""

    def __init__(
        self, children: Children, instance: Path, module: str, location: str, environment: Mapping[str, str]
    ) -> None:
        self._location = location
        home = children.folder / "dagster-home"
        home.mkdir()
        (home / "dagster.yaml").write_text(instance.read_text())
        environment = {**environment, "DAGSTER_HOME": str(home)}
        self.environment = environment
        code_port, ui_port = free_port(), free_port()
        workspace = children.folder / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n  - grpc_server:\n      host: 127.0.0.1\n      port: {code_port}\n"
            f"      location_name: {location}\n"
        )
        self.ui = f"http://127.0.0.1:{ui_port}"
        self.code_server = children.start(
            "dagster-code-server",
            [
                *(_command("dagster"), "api", "grpc", "-m", module, "--host", "127.0.0.1", "--port", str(code_port)),
                *("--location-name", location, "--log-level", "warning"),
            ],
            environment,
        )
        self.code_server.wait_until_listening(code_port, READY_SECONDS)
        common = ["-w", str(workspace)]
        self.web_server = children.start(
            "dagster-webserver",
            [_command("dagster-webserver"), "-h", "127.0.0.1", "-p", str(ui_port), "--log-level", "warning", *common],
            environment,
        )
        self.daemon = children.start(
            "dagster-daemon", [_command("dagster-daemon"), "run", "--log-level", "warning", *common], environment
        )

    @property
    def processes(self) -> tuple[Child, ...]:
        return self.code_server, self.web_server, self.daemon

    def wait_until_ready(self) -> None:
        self.web_server.wait_until(self._is_ready, READY_SECONDS)

    def _is_ready(self) -> bool:
        query = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"
        try:
            statuses = self.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
        except (requests.RequestException, KeyError, TypeError):
            return False
        return {status["daemonType"] for status in statuses if status["healthy"]} >= NEEDED_DAEMONS

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one GraphQL query; return its data."""
        response = requests.post(
            f"{self.ui}/graphql", json={"query": query, "variables": dict(variables or {})}, timeout=ANSWER_SECONDS
        )
        response.raise_for_status()
        data: dict[str, Any] = response.json()["data"]
        return data

    def launch(self, job: str, run_config: Mapping[str, Any] | None = None) -> str:
        """Launch a job as the UI's launchpad does; return the run id. Raises `RuntimeError` if Dagster refuses it."""
        mutation = """
            mutation Launch($params: ExecutionParams!) {
              launchRun(executionParams: $params) {
                __typename
                ... on LaunchRunSuccess { run { runId } }
                ... on PythonError { message }
              }
            }"""
        selector = {
            "repositoryLocationName": self._location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        params = {"selector": selector, "runConfigData": dict(run_config or {}), "mode": "default"}
        launched = self.ask(mutation, {"params": params})["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"Dagster did not launch {job}: {launched['__typename']} {launched.get('message', '')}")
        return str(launched["run"]["runId"])

    def run_status(self, run_id: str) -> str:
        query = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        return str(self.ask(query, {"id": run_id})["runOrError"]["status"])


def _command(name: str) -> str:
    """A console script of this environment."""
    return str(Path(sys.executable).with_name(name))
