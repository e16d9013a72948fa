"""A PostgreSQL server of our own. Its binaries are Debian's, or those on the PATH, or else those of the wheel `pgserver`.

Only the binaries are used. `pgserver` itself is not imported: as root it would create a user and make all parent folders readable
for everybody.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children, free_port

DEBIAN: Final = Path("/usr/lib/postgresql")
READY_SECONDS: Final = 30.0
USER: Final = "casebridge"


class PostgreSQLNotFoundError(RuntimeError):
    """No PostgreSQL server can be started on this machine. The message says why."""


@dataclass(frozen=True)
class PostgreSQLBinaries:
    """A folder with `initdb`, `postgres` and `pg_isready`, and where it comes from."""

    folder: Path
    origin: str

    def version(self) -> str:
        """The version, as in `15.18`. Raises `PostgreSQLNotFoundError` if the user of the server cannot run the binaries."""
        command = [*_as_unprivileged_user(), str(self.folder / "postgres"), "--version"]
        output = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if output.returncode:
            raise PostgreSQLNotFoundError(f"{self.origin} does not run: {output.stderr.strip()}")
        return output.stdout.split()[2]


def installed_binaries() -> PostgreSQLBinaries:
    """The first binaries that run. Raises `PostgreSQLNotFoundError` if none run, with the reason of each."""
    reasons = []
    for binaries in _candidates():
        try:
            binaries.version()
        except PostgreSQLNotFoundError as error:
            reasons.append(str(error))
        else:
            return binaries
    raise PostgreSQLNotFoundError("; ".join(reasons) or "no PostgreSQL server is installed")


class PostgreSQL:
    """One server with one empty database. Its data are below the folder of `children`."""

    def __init__(self, children: Children, name: str = "postgresql", *, durable: bool = False) -> None:
        """With `durable`, a commit waits for the disk, as in production. Without it, data may be lost in a crash."""
        binaries = installed_binaries()
        self._durable = durable
        self.version = binaries.version()
        self.origin = binaries.origin
        self.port = free_port()
        self._password = secrets.token_urlsafe(16)
        self._data = Path(tempfile.mkdtemp(prefix=f"{name}-data-", dir=children.folder))
        self._make_data_folder(binaries)
        self.child = self._start(children, name, binaries)

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """Stop the server without waiting for its clients."""
        self.child.stop(signal.SIGINT)

    def _make_data_folder(self, binaries: PostgreSQLBinaries) -> None:
        password_file = self._data.with_suffix(".password")
        password_file.write_text(self._password)
        if _as_unprivileged_user():
            self._data.parent.chmod(0o711)  # the unprivileged user may pass through, but not list its files
            for path in (self._data, password_file):
                shutil.chown(path, "nobody")
        password_file.chmod(0o400)
        command = [*_as_unprivileged_user(), str(binaries.folder / "initdb"), "--pgdata", str(self._data)]
        command += ["--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
        command += ["--encoding", "UTF8", "--locale", "C", "--no-sync"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if made.returncode:
            raise PostgreSQLNotFoundError(f"initdb of {binaries.origin} failed: {made.stderr.strip()}")

    def _start(self, children: Children, name: str, binaries: PostgreSQLBinaries) -> Child:
        command = [*_as_unprivileged_user(), str(binaries.folder / "postgres"), "-D", str(self._data)]
        # No socket file: its path may be too long.
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        settings["fsync"] = "on" if self._durable else "off"
        for setting, value in settings.items():
            command += ["-c", f"{setting}={value}"]
        child = children.start(name, command)
        child.wait_until(lambda: self._accepts(binaries), READY_SECONDS)
        return child

    def _accepts(self, binaries: PostgreSQLBinaries) -> bool:
        """Whether the server accepts connections. An open port is not enough: it is open before recovery has ended."""
        command = [str(binaries.folder / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - ours


def _candidates() -> Iterator[PostgreSQLBinaries]:
    for folder in sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True):
        if (folder / "postgres").exists():
            yield PostgreSQLBinaries(folder, "Debian")
    if on_path := shutil.which("postgres"):
        yield PostgreSQLBinaries(Path(on_path).resolve().parent, "PATH")
    wheel = importlib.util.find_spec("pgserver")
    if wheel and wheel.origin:
        yield PostgreSQLBinaries(Path(wheel.origin).parent / "pginstall" / "bin", "wheel pgserver")


def _as_unprivileged_user() -> list[str]:
    """The words before a command of PostgreSQL. As root they change the user, because PostgreSQL refuses to run as root.

    Raises `PostgreSQLNotFoundError` if `setpriv` is missing.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise PostgreSQLNotFoundError("PostgreSQL does not run as root, and setpriv is not there to change the user")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]
