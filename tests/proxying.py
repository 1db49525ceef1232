"""A way to a server that can fail: connections that are refused, reset, silent, or cut off before the answer."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Way:
    """Passes bytes from a port of its own to a server. Use it as an async context manager; `url` is the way's."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self.silent = False
        """Whether connections are taken and nothing is passed."""
        self.deaf = 0
        """How many answers are not passed; their connection is cut off instead."""
        self.cookies_only = False
        """Whether names and passwords are not passed, as where CouchDB is told to take session cookies only."""
        self.asked = 0

    @property
    def url(self) -> str:
        account = self._parts.netloc.rpartition("@")[0]
        place = f"127.0.0.1:{self._port}"
        return urlunsplit(self._parts._replace(netloc=f"{account}@{place}" if account else place))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.die()

    async def start(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """End as a process does that is killed: every connection is reset, and new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut all connections off."""
        for writer in list(self._open):
            writer.transport.abort()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_both(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._open |= {writer, back}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, back, answers=False))
                both.create_task(self._pass(there, writer, answers=True))
        except* OSError:
            pass
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65536):
            if self.silent:
                continue
            if not answers:
                self.asked += 1
                if self.cookies_only:
                    data = data.replace(b"Authorization: Basic", b"Not-Authorize: Basic")
            elif self.deaf:
                self.deaf -= 1
                break
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
