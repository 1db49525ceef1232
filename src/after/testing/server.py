"""The embedded engine behind a URL, in a thread of its own, so that it answers whatever the test's own thread does."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import uvicorn
import uvloop

from after.clock import Clock
from after.server.app import DATABASE, Engine

SECONDS = 30.0
"""How long the server may take to start or to stop; it takes a few milliseconds when all is well."""


class _Uvicorn(uvicorn.Server):
    """Stops when it is told to, and ends the feeds first, since uvicorn waits for every answer."""

    def __init__(self, engine: Engine, *, dated: bool) -> None:
        super().__init__(
            uvicorn.Config(
                engine.app, lifespan="off", ws="none", log_config=None, log_level="warning", access_log=False,
                date_header=dated, timeout_keep_alive=75,
            )
        )  # fmt: skip
        self._feed = engine.feed
        self._stopped = asyncio.Event()
        self.ready = threading.Event()

    async def main_loop(self) -> None:
        """Go on until `stop` is called."""
        self.ready.set()
        ticks = 0
        while not self._stopped.is_set():
            await self.on_tick(ticks)
            ticks += 1
            try:
                async with asyncio.timeout(0.1):
                    await self._stopped.wait()
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what uvicorn does, in its order, without its pauses of a tenth of a second, which add up in tests."""
        self._feed.close()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0)

    def stop(self) -> None:
        """End `main_loop`. To be called on the server's loop."""
        self._stopped.set()


class Server:
    """The engine on a free port of 127.0.0.1, in memory where there is no path. It starts once, may be stopped twice.

    With a `clock` of its own it tells no `Date`, which would be that of this machine.
    """

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        self.engine = Engine(path, clock)
        self._dated = clock is None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._socket.getsockname()
        self.url = f"http://{self.host}:{self.port}"
        self.database = f"{self.url}/{DATABASE}"
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()
        if not (self._started.wait(SECONDS) and self._uvicorn.ready.wait(SECONDS)):
            raise RuntimeError("the server did not start")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._uvicorn = _Uvicorn(self.engine, dated=self._dated)
        self._started.set()
        async with self.engine.store:
            await self._uvicorn.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Stop as a signal would: answers are finished, feeds ended, the store closed."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._uvicorn.stop)
            self._thread.join(SECONDS)
            self._socket.close()
        if self._thread.is_alive():
            raise RuntimeError("the server did not stop")
