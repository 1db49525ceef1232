"""Serving the embedded engine over HTTP."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from after.collector import calm
from after.errors import AfterError
from after.server.app import Engine
from after.server.http import LOOPBACK

SWITCH_SECONDS = 0.0005
"""How long the event loop may keep the interpreter to itself while the writing thread waits; Python's 5 ms are as much
as ten commits."""
SHUTDOWN_SECONDS = 3
BACKLOG = 2048


class _Server(uvicorn.Server):
    """A server that ends its live feeds first when it has to stop: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, engine: Engine, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._engine = engine
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.feed.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM; uvicorn would raise them once more, which ends us before the store is closed."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self.handle_exit) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def serve(host: str, port: int, data: Path, ready: Callable[[], None]) -> None:
    """Serve the database in the file `data` until SIGTERM or SIGINT; call `ready` when requests are answered.

    Raises `AfterError` where the address is not of this machine alone, is in use, or the file is not ours.
    """
    check_loopback(host)
    listening = listen(host, port)
    engine = Engine(data)
    config = uvicorn.Config(
        engine.app, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        lifespan="off", loop="none", http="httptools", ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS, timeout_keep_alive=75,
    )  # fmt: skip
    sys.setswitchinterval(SWITCH_SECONDS)
    calm(100_000)
    with listening:
        _run(_Server(config, engine, ready), listening, engine)


def _run(server: uvicorn.Server, listening: socket.socket, engine: Engine) -> None:
    async def main() -> None:
        # The store is opened here and not by uvicorn, whose way to tell that this failed is a traceback.
        async with engine.store:
            await server.serve(sockets=[listening])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def check_loopback(host: str) -> None:
    """Raise `AfterError` unless only this machine can reach `host`: a server without users trusts all who reach it."""
    if host not in LOOPBACK:
        raise AfterError(
            f"--host {host}: this server has no users yet, so it listens on this machine only; use 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raise `AfterError` where the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        reason = "is in use by another program" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise AfterError(f"{host}:{port} {reason}; choose another with --port") from None
    return listening
