"""`deploy/` held against the code: what it starts exists, what it sets is read, what it leaves open is nothing.

There is no container engine in the tests. So this checks what a renamed command or setting would break without anybody seeing it.
"""

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.main import application
from local_servers.caddy import VERSION as CADDY_VERSION
from orchestration import run_launcher

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()
OURS = "casebridge:0.1.0"
INTERPOLATED = re.compile(r"\$\{([A-Z_]+)")
SCRIPTS = {"dagster", "dagster-webserver", "dagster-daemon", "celery"}


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return parsed


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
MANIFESTS: list[dict[str, Any]] = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
VALUES = {name: yaml.safe_load((DEPLOY / name).read_text()) for name in ("values.yaml", "values-celery.yaml")}


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in MANIFESTS:
        if "template" in manifest.get("spec", {}):
            pod = manifest["spec"]["template"]["spec"]
            yield from ((f"{manifest['metadata']['name']}/{one['name']}", one) for one in pod["containers"])


def images() -> list[str]:
    found = [service["image"] for service in SERVICES.values()] + [one["image"] for _, one in containers()]

    def in_values(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "repository" in node:
                yield f"{node['repository']}:{node['tag']}"
            for child in node.values():
                yield from in_values(child)
        elif isinstance(node, list):
            for child in node:
                yield from in_values(child)

    return found + list(in_values(VALUES))


def commands() -> list[list[str]]:
    """What is started in our own image, health checks included."""
    of_compose = [service["command"] for service in SERVICES.values() if service["image"] == OURS]
    checks = [
        service["healthcheck"]["test"][1:]
        for service in SERVICES.values()
        if service["image"] == OURS and "healthcheck" in service
    ]
    return of_compose + checks + [one["command"] for _, one in containers()]


@pytest.mark.parametrize("image", sorted(set(images())))
def test_each_image_has_a_version_and_no_registry(image: str) -> None:
    name, _, version = image.partition(":")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?[\w.-]*", version)
    assert "." not in name.split("/")[0]


def test_our_image_is_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {image for image in images() if image.startswith("casebridge:")} == {f"casebridge:{version}"} == {OURS}


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_each_command_exists(command: list[str]) -> None:
    program, *arguments = command
    if program == "casebridge":
        assert arguments[0] in names_of_commands()
    else:
        assert program in SCRIPTS | {"python"}


def names_of_commands() -> set[str]:
    return {command.callback.__name__ for command in application.registered_commands if command.callback}


@pytest.mark.parametrize("variable", sorted({
    variable
    for path in DEPLOY.rglob("*")
    if path.is_file()
    for variable in re.findall(r"\bCASEBRIDGE_[A-Z_]*[A-Z]\b", path.read_text())
}))  # fmt: skip
def test_each_variable_is_one_that_something_reads(variable: str) -> None:
    assert variable.startswith("CASEBRIDGE_SECRET_") or f"`{variable}`" in SETTINGS_PAGE


def test_what_compose_asks_for_stands_in_the_example_with_every_secret_empty() -> None:
    example = dict(
        line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if line and line[0] != "#"
    )
    assert set(INTERPOLATED.findall((DEPLOY / "compose.yaml").read_text())) <= example.keys()
    assert {value.strip("'") for name, value in example.items() if "PASSWORD" in name} == {""}


def test_examples_hold_no_secret() -> None:
    lines = (DEPLOY / "casebridge.env.example").read_text().splitlines()
    secrets = [line for line in lines if re.search(r"SECRET|TOKEN|PASSWORD", line.partition("=")[0]) and line[0] != "#"]
    assert secrets
    assert [line for line in secrets if not line.endswith("=")] == []


def test_what_is_filled_in_stays_out_of_git() -> None:
    assert {"deploy/.env", "deploy/casebridge.env"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_only_the_proxy_has_a_port_and_only_on_loopback() -> None:
    open_ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert open_ports.keys() == {"proxy"}
    assert all(port.startswith("127.0.0.1:") for ports in open_ports.values() for port in ports)


def test_the_proxy_is_the_one_that_the_tests_run() -> None:
    """What its rules do is in tests/contract/test_proxy.py."""
    assert SERVICES["proxy"]["image"] == f"caddy:{CADDY_VERSION}"
    asked = set(re.findall(r"\{\$([A-Z_]+)", (DEPLOY / "Caddyfile").read_text()))
    assert asked == SERVICES["proxy"]["environment"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_waits_for_what_exists_and_can_become_what_it_waits_for(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert "healthcheck" in SERVICES[other] or wanted["condition"] == "service_completed_successfully"
        profiles = SERVICES[other].get("profiles")
        assert not profiles or profiles == SERVICES[name].get("profiles"), "it would start without it"


def test_volumes_and_networks_are_declared() -> None:
    whole = compose()
    named = {
        mount.split(":")[0] for one in SERVICES.values() for mount in one.get("volumes", []) if mount[0] not in "./"
    }
    assert named == set(whole["volumes"])
    assert {network for one in SERVICES.values() for network in one["networks"]} == set(whole["networks"])


def test_there_are_two_listeners_and_one_daemon() -> None:
    assert SERVICES["listener"]["deploy"]["replicas"] == 2
    assert "deploy" not in SERVICES["daemon"]


def test_the_location_has_the_name_by_which_cursors_are_kept() -> None:
    (in_repository,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    name = in_repository["python_module"]["location_name"]
    (deployed,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    code_server = SERVICES["code-server"]["command"]
    (on_kubernetes,) = VALUES["values.yaml"]["dagster-user-deployments"]["deployments"]
    assert deployed["grpc_server"] == {"host": "code-server", "port": 4000, "location_name": name}
    assert code_server[code_server.index("--location-name") + 1] == name
    assert on_kubernetes["name"] == name
    assert on_kubernetes["dagsterApiGrpcArgs"] == ["--python-module", in_repository["python_module"]["module_name"]]


def test_the_launcher_that_the_chart_names_exists() -> None:
    named = VALUES["values-celery.yaml"]["runLauncher"]["config"]["customRunLauncher"]
    assert getattr(importlib.import_module(named["module"]), named["class"]) is run_launcher.LauncherFromEnvironment


def test_limits_on_kubernetes_are_those_of_the_instance() -> None:
    instance = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    daemon = VALUES["values.yaml"]["dagsterDaemon"]
    coordinator = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs, monitoring = instance["concurrency"]["runs"], instance["run_monitoring"]
    assert coordinator["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert coordinator["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    assert daemon["runMonitoring"]["maxRuntimeSeconds"] == monitoring["max_runtime_seconds"]
    assert daemon["runRetries"]["maxRetries"] == instance["run_retries"]["max_retries"]
    assert (
        VALUES["values.yaml"]["retention"]["sensor"]["purgeAfterDays"]
        == instance["retention"]["sensor"]["purge_after_days"]
    )


def test_every_container_takes_the_settings_and_secrets_and_no_privilege() -> None:
    for name, container in containers():
        sources = [next(iter(source.values()))["name"] for source in container["envFrom"]]
        assert sources == ["casebridge-settings", "casebridge-secrets"], name
        assert container["securityContext"]["runAsNonRoot"], name
    assert "casebridge-settings" in {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "ConfigMap"}


def test_all_manifests_are_listed() -> None:
    listed = re.findall(r"- ([a-z-]+\.yaml)", (DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == there


def test_the_image_holds_every_package_and_a_python_that_the_project_runs_on() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests", "tools"}
    assert set(re.findall(r"^COPY ([a-z_]+) \1$", recipe, flags=re.MULTILINE)) == packages
    assert set(re.findall(r"^!([a-z_]+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)) >= packages
    assert set(re.findall(r"FROM python:(3\.\d+)", recipe)) <= {"3.11", "3.12", "3.13"}
    assert "--require-hashes" in recipe
