"""Apache Kafka itself: one node in KRaft mode, from jars that Maven downloads (`make servers`). It needs Java 17 or later.

Its data are below the folder of `children`. So a broker that was killed and started again has its topics and offsets.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children, free_port

ROOT: Final = Path(__file__).resolve().parents[1]
POM: Final = Path(__file__).with_name("kafka.pom.xml")
JARS: Final = ROOT / ".casebridge" / "kafka"
LEAST_JAVA: Final = 17
CLUSTER: Final = "Y2FzZWJyaWRnZSBsb2NhbA"
"""Sixteen bytes in base64url. Not random: one random id in 64 begins with a dash, and Kafka's tool reads it as an option."""
READY_SECONDS: Final = 60.0
MAVEN_SECONDS: Final = 600
MEMORY: Final = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOG_SETTINGS: Final = """\
Configuration:
  Appenders:
    Console:
      name: stdout
      PatternLayout: {pattern: "%d %p %c: %m%n"}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: stdout}}
"""
PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""


class KafkaNotFoundError(RuntimeError):
    """Apache Kafka cannot be started on this machine. The message says why."""


def installed_kafka() -> str:
    """The version of the downloaded jars. Raises `KafkaNotFoundError` if there are none, or no suitable Java."""
    _java()
    for jar in JARS.glob("kafka_2.13-*.jar"):
        return jar.stem.removeprefix("kafka_2.13-")
    raise KafkaNotFoundError("its jars are not here: `make servers` brings them, with Java 17 and Maven")


def fetch_kafka() -> None:
    """Download the jars with Maven. Raises `KafkaNotFoundError` if that fails."""
    _java()
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaNotFoundError("Maven (mvn) is not installed")
    command = [maven, "--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"]
    partial = JARS.with_name("kafka-partial")
    ended = subprocess.run(  # noqa: S603 - fixed arguments
        [*command, f"-DoutputDirectory={partial}"], capture_output=True, text=True, check=False, timeout=MAVEN_SECONDS
    )
    if ended.returncode:
        errors = [line for line in ended.stdout.splitlines() if line.startswith("[ERROR]")] or ["no reason given"]
        raise KafkaNotFoundError(f"Maven: {errors[0].removeprefix('[ERROR] ')[:200]}")
    # Moved in one step: an interrupted download must not look like a complete server.
    shutil.rmtree(JARS, ignore_errors=True)
    partial.rename(JARS)


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise KafkaNotFoundError("Java is not installed")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - ours
    found = re.search(r'version "(\d+)', output)
    if found is None or int(found[1]) < LEAST_JAVA:
        raise KafkaNotFoundError(f"Java is older than {LEAST_JAVA}")
    return java


class Kafka:
    """One broker. It may be killed, and started again on the same port with the same data."""

    keeps_its_data = True
    counts_every_record = True

    def __init__(self, children: Children, name: str = "kafka") -> None:
        self._children = children
        self._name = name
        self.summary = f"Apache Kafka {installed_kafka()}"
        self._folder = children.folder / f"{name}-data"
        self._folder.mkdir()
        self.port = free_port()
        self._properties = self._folder / "server.properties"
        listeners = ",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in self.listeners().items())
        properties = PROPERTIES.format(listeners=listeners, controller_port=free_port(), data=self._folder / "log")
        self._properties.write_text(properties + self.more_properties())
        (self._folder / "log4j2.yaml").write_text(LOG_SETTINGS)
        self._format_storage()
        self.child = self._start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def listeners(self) -> dict[str, int]:
        """The ports by security protocol."""
        return {"PLAINTEXT": self.port}

    def more_properties(self) -> str:
        return ""

    def users_of_scram(self) -> list[str]:
        """Users that are created with the storage, in the form that Kafka's storage tool reads."""
        return []

    def restart(self) -> None:
        """Start again after `child` was stopped or killed, with the same data and address."""
        self.child = self._start()

    def _format_storage(self) -> None:
        users = [part for user in self.users_of_scram() for part in ("--add-scram", user)]
        command = self._command("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._properties), *users)
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if made.returncode:
            raise KafkaNotFoundError(f"its storage could not be made: {made.stderr.strip()[-500:]}")

    def _start(self) -> Child:
        child = self._children.start(self._name, self._command("kafka.Kafka", str(self._properties)), foundation=True)
        child.wait_until_listening(self.port, READY_SECONDS)
        return child

    def _command(self, program: str, *arguments: str) -> list[str]:
        log_settings = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.yaml'}"
        return [_java(), *MEMORY, log_settings, "-cp", f"{JARS}/*", program, *arguments]
