"""`make servers`: installs the real servers and the browser for the tests where that is possible, and lists them.

As root on Debian they are installed with apt. Elsewhere only servers that are already installed are found. If everything is
installed, this is quick. It never fails because a server is missing: the table gives the reason, and so does the test ring that
needs the server.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from casebridge.database import Database
from casebridge.settings import MongoDBSettings
from local_servers.caddy import CaddyNotFoundError, fetch_caddy, installed_caddy
from local_servers.caddy import version_of as version_of_caddy
from local_servers.chromium import installed_chromium, version_of
from local_servers.kafka import KafkaNotFoundError, fetch_kafka, installed_kafka
from local_servers.postgresql import PostgreSQLNotFoundError, installed_binaries
from local_servers.redis import RedisNotFoundError, installed_redis
from local_servers.redis import version_of as version_of_redis
from local_servers.tansu import WHEEL, TansuNotFoundError, installed_tansu

MONGODB_VARIABLE: Final = "CASEBRIDGE_MONGODB_URI"
CLUSTER_CONFIGURATION: Final = Path("/etc/postgresql-common/createcluster.d/casebridge.conf")

SERVICE_POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""Debian asks this before it starts a service; 101 means no."""


class NotToBeHadError(Exception):
    """A server is not available on this machine. The message is the reason that the table shows."""


@dataclass(frozen=True)
class Found:
    """A server that the tests can use."""

    version: str
    origin: str


def main() -> None:
    table = Table("server", "version", "where from, or why not", title="Servers for the tests", title_justify="left")
    rows: dict[str, Callable[[], Found]] = {
        "MongoDB protocol, embedded": embedded_mongodb,
        "MongoDB or DocumentDB": further_mongodb,
        "Kafka, embedded (Tansu)": embedded_kafka,
        "Apache Kafka": apache_kafka,
        "PostgreSQL": lambda: _find_or_install(postgresql, "postgresql"),
        "Redis": lambda: _find_or_install(redis, "redis-server"),
        "Caddy": caddy,
        "Chromium": lambda: _find_or_install(chromium, "chromium", "fonts-liberation", "fonts-noto-color-emoji"),
    }
    for server, find in rows.items():
        try:
            found = find()
        except NotToBeHadError as error:
            table.add_row(server, "-", str(error))
        else:
            table.add_row(server, found.version, found.origin)
    Console().print(table)


def embedded_mongodb() -> Found:
    return Found(version("SecantusDB"), "wheel SecantusDB")


def further_mongodb() -> Found:
    """The server that the environment variable names: no package registry has MongoDB or DocumentDB."""
    uri = os.environ.get(MONGODB_VARIABLE)
    if not uri:
        raise NotToBeHadError(f"comes by no package registry; set {MONGODB_VARIABLE} to run the rings against yours")
    try:
        with closing(Database(MongoDBSettings.model_validate({"uri": uri}))) as database:
            return Found(database.server_name(), MONGODB_VARIABLE)
    except PyMongoError as error:
        raise NotToBeHadError(f"{MONGODB_VARIABLE} does not answer: {type(error).__name__}") from error


def embedded_kafka() -> Found:
    try:
        installed_tansu()
    except TansuNotFoundError as error:
        raise NotToBeHadError(str(error)) from error
    return Found(version(WHEEL), f"wheel {WHEEL}")


def apache_kafka() -> Found:
    """Apache Kafka's jars, downloaded with Maven if there are Java and Maven."""
    origin = "Maven, below .casebridge/kafka"
    with suppress(KafkaNotFoundError):
        return Found(installed_kafka(), origin)
    sys.stderr.write("servers: fetching Apache Kafka\n")
    try:
        fetch_kafka()
        return Found(installed_kafka(), origin)
    except KafkaNotFoundError as error:
        raise NotToBeHadError(str(error)) from error


def postgresql() -> Found:
    try:
        binaries = installed_binaries()
    except PostgreSQLNotFoundError as error:
        raise NotToBeHadError(str(error)) from error
    return Found(binaries.version(), binaries.origin)


def redis() -> Found:
    try:
        binary = installed_redis()
    except RedisNotFoundError as error:
        raise NotToBeHadError(str(error)) from error
    return Found(version_of_redis(binary), str(binary))


def caddy() -> Found:
    """The proxy of deploy/, built from its Go module if there is Go."""
    try:
        binary = installed_caddy()
    except CaddyNotFoundError:
        sys.stderr.write("servers: building Caddy\n")
        try:
            fetch_caddy()
            binary = installed_caddy()
        except CaddyNotFoundError as error:
            raise NotToBeHadError(str(error)) from error
    return Found(version_of_caddy(binary), str(binary))


def chromium() -> Found:
    path = installed_chromium()
    if path is None:
        raise NotToBeHadError("not installed")
    return Found(version_of(path), str(path))


def _find_or_install(find: Callable[[], Found], *packages: str) -> Found:
    """Return the installed server, or install it with apt. Raises `NotToBeHadError` if that is not possible."""
    try:
        return find()
    except NotToBeHadError as missing:
        if not shutil.which("apt-get"):
            raise NotToBeHadError(f"{missing}; install it with this system's package manager") from missing
        if os.geteuid() != 0:
            raise NotToBeHadError(f"{missing}; as root: apt-get install {' '.join(packages)}") from missing
    sys.stderr.write(f"servers: installing {' '.join(packages)}\n")
    _update_package_lists()
    with _no_service_started(), _no_database_cluster() if "postgresql" in packages else nullcontext():
        _apt_get("install", "--yes", "--no-install-recommends", *packages)
    return find()


@cache
def _update_package_lists() -> None:
    """Run `apt-get update`, once in each run of this tool."""
    _apt_get("update")


def _apt_get(*arguments: str) -> None:
    """Run apt-get without output. Raises `NotToBeHadError` with the last line of its errors if it fails."""
    ended = subprocess.run(  # noqa: S603 - fixed names
        ["apt-get", "-qq", *arguments],  # noqa: S607 - wherever the system has it
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise NotToBeHadError(f"apt-get {arguments[0]}: {lines[-1]}")


@contextmanager
def _no_database_cluster() -> Iterator[None]:
    """Prevent Debian's PostgreSQL package from creating and starting a database: only its binaries are needed."""
    CLUSTER_CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CLUSTER_CONFIGURATION.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        CLUSTER_CONFIGURATION.unlink()


@contextmanager
def _no_service_started() -> Iterator[None]:
    """Prevent packages from starting what they install: the tests start servers of their own."""
    if SERVICE_POLICY.exists():
        yield
        return
    SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink()


if __name__ == "__main__":
    main()
