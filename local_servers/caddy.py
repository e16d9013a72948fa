"""Caddy, the proxy of `deploy/compose.yaml`, on a loopback port with a Caddyfile of deploy/.

`make servers` builds it from its Go module below `.casebridge/caddy`, in the version that deploy/ names. An installed Caddy is
used instead if it is new enough for the Caddyfile.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children, free_port

VERSION: Final = "2.10.0"
LEAST: Final = (2, 8)
"""Older versions have the directive `basic_auth` under another name."""
BUILT: Final = Path(__file__).resolve().parents[1] / ".casebridge" / "caddy" / VERSION / "caddy"
BUILD_SECONDS: Final = 900
READY_SECONDS: Final = 20.0


class CaddyNotFoundError(RuntimeError):
    """Caddy cannot be started on this machine. The message says why."""


def installed_caddy() -> Path:
    """The program: the one that was built here, or else an installed one. Raises `CaddyNotFoundError` if there is none."""
    if BUILT.exists():
        return BUILT
    found = shutil.which("caddy")
    if found is None:
        raise CaddyNotFoundError("Caddy is not installed: `make servers` builds it, with Go")
    if tuple(map(int, version_of(Path(found)).split(".")[:2])) < LEAST:
        raise CaddyNotFoundError(f"the installed Caddy is older than {LEAST[0]}.{LEAST[1]}")
    return Path(found)


def version_of(binary: Path) -> str:
    """The version, as in `2.10.0`.

    A Caddy that was built from its module alone does not know its version. So the one that was built here has it in the name of
    its folder.
    """
    if binary == BUILT:
        return VERSION
    output = subprocess.run([str(binary), "version"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    found = re.match(r"v?(\d+\.\d+\.\d+)", output.stdout)
    return found[1] if found else "0.0.0"


def fetch_caddy() -> None:
    """Build Caddy with Go. Raises `CaddyNotFoundError` if that fails."""
    go = shutil.which("go")
    if go is None:
        raise CaddyNotFoundError("neither Caddy nor Go is installed")
    try:
        built = subprocess.run(  # noqa: S603 - fixed names
            [go, "install", f"github.com/caddyserver/caddy/v2/cmd/caddy@v{VERSION}"],
            env={**os.environ, "GOBIN": str(BUILT.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CaddyNotFoundError(f"Go was not done in {BUILD_SECONDS} s") from error
    if built.returncode:
        errors = built.stderr.strip().splitlines() or [f"exit code {built.returncode}"]
        raise CaddyNotFoundError(f"go install: {errors[-1]}")


class Caddy:
    """A running proxy. `rules` is the text of a Caddyfile, which names the servers behind the proxy."""

    def __init__(self, children: Children, rules: str, environment: Mapping[str, str]) -> None:
        """`environment` has the variables of the rules. `UI_ADDRESS` is set to `address`."""
        binary = installed_caddy()
        self.version = version_of(binary)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        home = children.folder / f"caddy-{self.port}"
        home.mkdir()
        (home / "Caddyfile").write_text(rules)
        self.child: Child = children.start(
            home.name,
            [str(binary), "run", "--config", str(home / "Caddyfile"), "--adapter", "caddyfile"],
            {
                **environment,
                "UI_ADDRESS": self.address,
                "HOME": str(home),
                "XDG_DATA_HOME": str(home),
                "XDG_CONFIG_HOME": str(home),
            },
        )
        self.child.wait_until_listening(self.port, READY_SECONDS)


def password_hash(password: str) -> str:
    """The value of `UI_PASSWORD_HASH` for a password."""
    command = [str(installed_caddy()), "hash-password", "--plaintext", password]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours
