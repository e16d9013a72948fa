"""Proxies on the loopback interface, for tests of broken networks. They forward bytes, drop connections, or stall.

A proxy is an address in front of another address. Its user decides what runs over it, and when it breaks.
"""

import asyncio
import threading
from types import TracebackType
from typing import Final, cast

CONNECT_SECONDS: Final = 5.0


class _End(asyncio.Protocol):
    """One end of a connection. It sends what it receives to the other end, no faster than that end can send."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self.transport: asyncio.Transport | None = None
        self._other: _End | None = None
        self.kept: list[bytes] = []
        self.is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.plugged(self)

    def data_received(self, data: bytes) -> None:
        if self._other is None or self._other.transport is None:
            self.kept.append(data)
        else:
            self._other.transport.write(data)

    def eof_received(self) -> None:
        return None  # half-open connections are not needed: the transport closes, and so does the other end

    def connection_lost(self, _error: Exception | None) -> None:
        self._proxy.unplugged(self)
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()

    def pause_writing(self) -> None:
        self.is_full = True
        if self._other is not None:
            self._other.flow()

    def resume_writing(self) -> None:
        self.is_full = False
        if self._other is not None:
            self._other.flow()

    def join(self, other: "_End") -> None:
        self._other = other
        if self.transport is not None:
            self.transport.writelines(other.kept)
        other.kept.clear()

    def flow(self) -> None:
        """Read on, or pause: nothing is read while the proxy is stalled, or while the other end is full."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._proxy.stands_still or (self._other is not None and self._other.is_full):
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Proxy:
    """Listens on `port` and forwards to another address. `drop`, `stall` and `mend` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target_port: int, target_host: str) -> None:
        self._loop = loop
        self._target_port = target_port
        self._target_host = target_host
        self._ends: set[_End] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.stands_still = False
        self.port = 0

    async def open(self) -> None:
        """Listen. Raises `OSError` if the machine has no free port."""
        self._server = await self._loop.create_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop at the end. Only for the thread of the proxies."""
        self._server.close()
        for end in list(self._ends):
            end.abort()

    def drop(self) -> None:
        """Break every connection at once, whatever is under way. New connections break, too, until `mend`."""
        self._loop.call_soon_threadsafe(self._change, True, False)

    def stall(self) -> None:
        """Forward nothing until `mend`. Then everything that was under way arrives, late."""
        self._loop.call_soon_threadsafe(self._change, False, True)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._change, False, False)

    def _change(self, is_cut: bool, stands_still: bool) -> None:  # noqa: FBT001 - for `call_soon_threadsafe`
        self._is_cut, self.stands_still = is_cut, stands_still
        for end in list(self._ends):
            if is_cut:
                end.abort()
            else:
                end.flow()

    def _accept(self) -> _End:
        near = _End(self)
        task = self._loop.create_task(self._connect(near))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return near

    async def _connect(self, near: _End) -> None:
        far = _End(self)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._loop.create_connection(lambda: far, self._target_host, self._target_port)
        except OSError:  # `TimeoutError` is one
            near.abort()
            return
        far.join(near)
        near.join(far)
        if near not in self._ends:
            far.abort()

    def plugged(self, end: _End) -> None:
        self._ends.add(end)
        if self._is_cut:
            end.abort()
        else:
            end.flow()

    def unplugged(self, end: _End) -> None:
        self._ends.discard(end)


class Proxies:
    """A context in which proxies work. They share one thread."""

    def __enter__(self) -> "Proxies":
        self._loop = asyncio.new_event_loop()
        self._proxies: list[Proxy] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        return self

    def lay(self, target_port: int, target_host: str = "127.0.0.1") -> Proxy:
        """Return a new proxy to a port of this machine, or of `target_host`."""
        proxy = Proxy(self._loop, target_port, target_host)
        asyncio.run_coroutine_threadsafe(proxy.open(), self._loop).result()
        self._proxies.append(proxy)
        return proxy

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        connecting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
