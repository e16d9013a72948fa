"""Runs five servers in one process and one event loop: FS-Digex, WISEflow, LaaS, Slack and the control interface.

Their answers are in their own modules.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulators import fs_digex, slack, wiseflow
from simulators.assessors import Assessors
from simulators.control import Control
from simulators.front_door import HANG_UP, FrontDoor
from simulators.laas import Laas
from simulators.state import World

KEEP_ALIVE_S = 75
PARENT_CHECK_S = 0.5
WAITING_CONNECTIONS = 1_024


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the servers. 0 means any free port."""

    fs: int = 0
    wiseflow: int = 0
    laas: int = 0
    slack: int = 0
    control: int = 0


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, extended by a way to hang up: a fault closes the connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: Any = self.scope.setdefault("extensions", {})
        extensions[HANG_UP] = self.transport.close


class _Server(uvicorn.Server):
    """One of several servers in a process. It installs no signal handlers, and sets ``listens`` when it listens."""

    def __init__(self, application: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                date_header=False,
                server_header=False,
            )
        )
        self.listens = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()


async def serve(host: str, ports: Ports, *, seed: int, with_parent: bool) -> None:
    """Serve until the process is ended. When all five servers listen, print their addresses as one line of JSON.

    :param with_parent: end when the process that started this one is gone
    """
    # Read before the line that the parent waits for is printed: afterwards the parent may end at any moment.
    parent = os.getppid()
    world = World(seed)
    assessors = Assessors(world)
    applications: dict[str, ASGIApp] = {
        "fs": FrontDoor(world, fs_digex.FsDigex(world).system()),
        "wiseflow": FrontDoor(world, wiseflow.Wiseflow(world, assessors).system()),
        "laas": FrontDoor(world, Laas(world).system()),
        "slack": FrontDoor(world, slack.Slack(world).system()),
        "control": Control(world, assessors).application(),
    }
    servers = {name: _Server(application) for name, application in applications.items()}
    sockets = {name: _bind(host, getattr(ports, name)) for name in servers}
    async with asyncio.TaskGroup() as tasks:
        for name, server in servers.items():
            tasks.create_task(server.serve(sockets=[sockets[name]]))
        for server in servers.values():
            await server.listens.wait()
        print(json.dumps(addresses(host, {name: one.getsockname()[1] for name, one in sockets.items()})), flush=True)
        if with_parent:
            await _end_with(parent)


def addresses(host: str, ports: dict[str, int]) -> dict[str, str]:
    """The base addresses for the configuration of the clients."""
    at = {name: f"http://{host}:{port}" for name, port in ports.items()}
    return {
        "fs": at["fs"] + fs_digex.BASE,
        "wiseflow": at["wiseflow"] + wiseflow.BASE,
        "laas": at["laas"],
        "slack_api": at["slack"] + "/api/",
        "slack_webhook": at["slack"] + slack.WEBHOOK_PATH,
        "control": at["control"],
    }


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(WAITING_CONNECTIONS)
    return listener


async def _end_with(parent: int) -> None:
    """End the process when its parent is gone. It ends at once, because it has no state to save."""
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event for a parent's end
        await asyncio.sleep(PARENT_CHECK_S)
    sys.stderr.write("simulators: the parent process is gone\n")
    os._exit(0)
