"""A Redis server of our own: the installed `redis-server` on a loopback port. It writes to disk only with `append_only`."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children, free_port

READY_SECONDS: Final = 20.0


class RedisNotFoundError(RuntimeError):
    """No Redis server can be started on this machine. The message says why."""


def installed_redis() -> Path:
    """The server's binary. Raises `RedisNotFoundError` if it is not installed."""
    found = shutil.which("redis-server")
    if found is None:
        raise RedisNotFoundError("redis-server is not installed")
    return Path(found)


def version_of(binary: Path) -> str:
    """The version, as in `7.0.15`."""
    output = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return next(word.removeprefix("v=") for word in output.stdout.split() if word.startswith("v="))


class Redis:
    """One empty server. Its data are below the folder of `children`."""

    def __init__(self, children: Children, name: str = "redis", *, append_only: bool = False) -> None:
        """With `append_only`, every write goes to a file that is flushed once a second, as for a broker in production."""
        binary = installed_redis()
        self.version = version_of(binary)
        self.port = free_port()
        data = children.folder / f"{name}-data"
        data.mkdir()
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(data),
            "save": "",
            "appendonly": "yes" if append_only else "no",
            "appendfsync": "everysec",
        }
        command = [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]
        self.child: Child = children.start(name, command, foundation=True)
        self.child.wait_until_listening(self.port, READY_SECONDS)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"
