"""Compares `deploy/` with the code: its commands exist, its settings are read, and nothing is left open.

The tests have no container engine. So they check what a renamed command or setting would break silently.
"""

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from local_servers.caddy import VERSION as CADDY_VERSION
from tests.support.commands import all_commands

ROOT = Path(__file__).parents[3]
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
    """The commands that our own image starts, health checks included."""
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
    return set(all_commands())


@pytest.mark.parametrize("variable", sorted({
    variable
    for path in DEPLOY.rglob("*")
    if path.is_file()
    for variable in re.findall(r"\bCASEBRIDGE_[A-Z_]*[A-Z]\b", path.read_text())
}))  # fmt: skip
def test_each_variable_is_read_by_something(variable: str) -> None:
    assert variable.startswith("CASEBRIDGE_SECRET_") or f"`{variable}`" in SETTINGS_PAGE


def test_the_example_has_every_variable_of_compose_and_no_secret_value() -> None:
    example = dict(
        line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if line and line[0] != "#"
    )
    assert set(INTERPOLATED.findall((DEPLOY / "compose.yaml").read_text())) <= example.keys()
    assert {value.strip("'") for name, value in example.items() if "PASSWORD" in name} == {""}


def test_examples_contain_no_secret() -> None:
    lines = (DEPLOY / "casebridge.env.example").read_text().splitlines()
    secrets = [line for line in lines if re.search(r"SECRET|TOKEN|PASSWORD", line.partition("=")[0]) and line[0] != "#"]
    assert secrets
    assert [line for line in secrets if not line.endswith("=")] == []


def test_files_with_values_are_ignored_by_git() -> None:
    assert {"deploy/.env", "deploy/casebridge.env"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_only_the_proxy_has_a_port_and_only_on_loopback() -> None:
    open_ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert open_ports.keys() == {"proxy"}
    assert all(port.startswith("127.0.0.1:") for ports in open_ports.values() for port in ports)


def test_the_proxy_is_the_one_that_the_tests_run() -> None:
    """The rules themselves are tested in tests/contract/deploy/test_proxy.py."""
    assert SERVICES["proxy"]["image"] == f"caddy:{CADDY_VERSION}"
    asked = set(re.findall(r"\{\$([A-Z_]+)", (DEPLOY / "Caddyfile").read_text()))
    assert asked == SERVICES["proxy"]["environment"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_waits_for_an_existing_service_and_a_state_it_can_reach(name: str) -> None:
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


def test_the_code_location_keeps_its_name_because_cursors_depend_on_it() -> None:
    (in_repository,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    name = in_repository["python_module"]["location_name"]
    (deployed,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    code_server = SERVICES["code-server"]["command"]
    (on_kubernetes,) = VALUES["values.yaml"]["dagster-user-deployments"]["deployments"]
    assert deployed["grpc_server"] == {"host": "code-server", "port": 4000, "location_name": name}
    assert code_server[code_server.index("--location-name") + 1] == name
    assert on_kubernetes["name"] == name
    assert on_kubernetes["dagsterApiGrpcArgs"] == ["--python-module", in_repository["python_module"]["module_name"]]


KUBERNETES_VERSION = "1.32"
"""The oldest Kubernetes version that the manifests are checked for. The newest is the newest that the library knows."""
USER = "10001"
CHART = {
    "concurrency.runs.max_concurrent_runs": "concurrency.runs.maxConcurrentRuns",
    "concurrency.runs.tag_concurrency_limits": "concurrency.runs.tagConcurrencyLimits",
    "concurrency.pools.default_limit": "concurrency.pools.defaultLimit",
    "concurrency.pools.granularity": "concurrency.pools.granularity",
    "run_queue.dequeue_interval_seconds": (
        "dagsterDaemon.runCoordinator.config.queuedRunCoordinator.dequeueIntervalSeconds"
    ),
    "run_monitoring.enabled": "dagsterDaemon.runMonitoring.enabled",
    "run_monitoring.start_timeout_seconds": "dagsterDaemon.runMonitoring.startTimeoutSeconds",
    "run_monitoring.max_runtime_seconds": "dagsterDaemon.runMonitoring.maxRuntimeSeconds",
    "run_monitoring.poll_interval_seconds": "dagsterDaemon.runMonitoring.pollIntervalSeconds",
    "run_monitoring.free_slots_after_run_end_seconds": "dagsterDaemon.runMonitoring.freeSlotsAfterRunEndSeconds",
    "run_retries.enabled": "dagsterDaemon.runRetries.enabled",
    "run_retries.max_retries": "dagsterDaemon.runRetries.maxRetries",
    "run_retries.retry_on_asset_or_op_failure": "dagsterDaemon.runRetries.retryOnAssetOrOpFailure",
    "sensors.use_threads": "dagsterDaemon.sensors.useThreads",
    "sensors.num_workers": "dagsterDaemon.sensors.numWorkers",
    "schedules.use_threads": "dagsterDaemon.schedules.useThreads",
    "schedules.num_workers": "dagsterDaemon.schedules.numWorkers",
    "python_logs.managed_python_loggers": "pythonLogs.managedPythonLoggers",
    "python_logs.python_log_level": "pythonLogs.pythonLogLevel",
    "retention.schedule.purge_after_days": "retention.schedule.purgeAfterDays",
    "retention.sensor.purge_after_days.skipped": "retention.sensor.purgeAfterDays.skipped",
    "retention.sensor.purge_after_days.success": "retention.sensor.purgeAfterDays.success",
    "retention.sensor.purge_after_days.failure": "retention.sensor.purgeAfterDays.failure",
    "retention.sensor.purge_after_days.started": "retention.sensor.purgeAfterDays.started",
    "telemetry.enabled": "telemetry.enabled",
}
"""Each setting of the instance, and its place in the chart's values."""
NOT_OF_THE_CHART = {
    "storage": "the chart writes it from `postgresql`",
    "run_launcher": "the chart's own by `runLauncher`",
    "compute_logs": "by `computeLogManager.type`, another test",
    "run_queue.max_user_code_failure_retries": "the chart has no value for it",
    "run_queue.user_code_failure_retry_delay": "the chart has no value for it",
    "run_monitoring.cancel_timeout_seconds": "Dagster's default, 180; the chart has no value for it",
    "nux.enabled": "the chart has no value for it",
}
SHARED_BLOCKS = (
    "concurrency.", "dagsterDaemon.runMonitoring.", "dagsterDaemon.runRetries.", "dagsterDaemon.schedules.",
    "dagsterDaemon.sensors.", "pythonLogs.", "retention.", "telemetry.",
)  # fmt: skip
VALUES_ONLY = {
    "concurrency.enabled": "without it the chart writes none of the block",
    "dagsterDaemon.runMonitoring.maxResumeRunAttempts": "of jobs on Kubernetes only",
    "retention.enabled": "without it the chart writes none of the block",
}
"""Further values, in the blocks that the instance and the chart both have."""


def leaves(node: Any, above: str = "") -> dict[str, Any]:
    """Each setting by its path. A list counts as one setting."""
    if not isinstance(node, dict):
        return {above: node}
    return {
        path: value
        for name, child in node.items()
        for path, value in leaves(child, f"{above}.{name}".strip(".")).items()
    }


def test_the_chart_has_each_setting_of_the_instance() -> None:
    """A setting that is added to one must be in the other, or here with the reason."""
    instance = leaves(yaml.safe_load((ROOT / "dagster.yaml").read_text()))
    values = leaves(VALUES["values.yaml"])
    left_out = tuple(NOT_OF_THE_CHART)
    compared = {path: value for path, value in instance.items() if not path.startswith(left_out)}
    assert compared.keys() == CHART.keys()
    assert {path: values.get(CHART[path]) for path in compared} == compared
    assert {path for path in left_out if not any(one.startswith(path) for one in instance)} == set()


def test_common_blocks_have_the_same_values() -> None:
    values = leaves(VALUES["values.yaml"])
    there = {path for path in values if path.startswith(SHARED_BLOCKS)}
    assert there - set(CHART.values()) == VALUES_ONLY.keys()


def test_no_output_of_a_run_is_kept() -> None:
    assert VALUES["values.yaml"]["computeLogManager"] == {"type": "NoOpComputeLogManager"}
    instance = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert instance["compute_logs"]["class"] == "NoOpComputeLogManager"


def test_the_chart_has_limits_in_one_place_only() -> None:
    """The chart refuses limits in both places, and so does Dagster."""
    coordinator = VALUES["values.yaml"]["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert coordinator.keys() == {"dequeueIntervalSeconds"}


MANIFEST_NAMES = [f"{one['kind']}/{one['metadata']['name']}" for one in MANIFESTS if "metadata" in one]


@pytest.mark.parametrize("version", [KUBERNETES_VERSION, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", MANIFEST_NAMES)
def test_each_manifest_is_valid_for_kubernetes(name: str, version: str) -> None:
    """`strict`: a field that the schema does not have is an error, too."""
    (manifest,) = (one for one in MANIFESTS if "metadata" in one and f"{one['kind']}/{one['metadata']['name']}" == name)
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_refuse_a_field_that_does_not_exist() -> None:
    (listener,) = (one for one in MANIFESTS if one["kind"] == "Deployment" and "listener" in one["metadata"]["name"])
    wrong = copy.deepcopy(listener)
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsuser"] = 10001
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_every_container_takes_the_settings_and_secrets_and_no_privilege() -> None:
    for name, container in containers():
        sources = [next(iter(source.values()))["name"] for source in container["envFrom"]]
        assert sources == ["casebridge-settings", "casebridge-secrets"], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": int(USER),
            "runAsGroup": int(USER),
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
    assert "casebridge-settings" in {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "ConfigMap"}


def test_the_image_names_its_user_by_number() -> None:
    """Kubelet refuses `runAsNonRoot` for a user name, because it cannot know that the name is not root's."""
    recipe = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", recipe, re.MULTILINE) == [f"{USER}:{USER}"]
    assert f"--gid {USER} casebridge" in recipe
    assert f"--uid {USER} --gid {USER}" in recipe
    assert set(re.findall(r"--chown=(\S+)", recipe)) == {f"{USER}:{USER}"}
    assert set(re.findall(r"--(?:owner|group)=(\S+)", recipe)) == {USER}


def test_both_ways_to_deploy_set_the_same() -> None:
    """The settings of the Compose example and of the ConfigMap are the same. Secrets are in `casebridge-secrets`."""
    lines = (DEPLOY / "casebridge.env.example").read_text().splitlines()
    example = {line.partition("=")[0]: line.partition("=")[2] for line in lines if line and line[0] != "#"}
    by_compose = set(SERVICES["listener"]["environment"])
    (settings,) = (one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap")
    open_ones = {name for name in example if not re.search(r"SECRET|TOKEN|PASSWORD", name)}
    assert open_ones <= settings.keys() <= open_ones | by_compose
    assert {name: settings[name] for name in open_ones} == {name: example[name] for name in open_ones}


def test_no_service_of_compose_names_a_user() -> None:
    assert [
        name for name, service in SERVICES.items() if not re.fullmatch(r"\d*(:\d+)?", service.get("user", ""))
    ] == []


def test_all_manifests_are_listed() -> None:
    listed = re.findall(r"- ([a-z-]+\.yaml)", (DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == there


def test_the_image_has_every_package_and_a_supported_python() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests", "tools"}
    assert set(re.findall(r"^COPY ([a-z_]+) \1$", recipe, flags=re.MULTILINE)) == packages
    assert set(re.findall(r"^!([a-z_]+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)) >= packages
    assert set(re.findall(r"FROM python:(3\.\d+)", recipe)) <= {"3.11", "3.12", "3.13"}
    assert "--require-hashes" in recipe
