"""Requests to a server in this process: the same JSON, answered by the same code, without a connection between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp, Message

from after.database.transport import Reply, Transport
from after.testing.server import Server


class Direct(Transport):
    """Asks a server on its own loop, in its thread; only the changes feed comes over a connection.

    A year of tasks is a thousand small requests, of which aiohttp, the sockets and uvicorn are the greater part.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server.database)
        self._server = server

    def open(self) -> None:
        """Need no connection."""

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None, data: bytes | None, *, beside: bool = False
    ) -> Reply:
        """Ask and give the answer; `path` is below the database, or beside it."""
        node = self.node.url.path
        raw = f"/{path}" if beside else f"{node}/{path}" if path else node
        asked = _ask(self._server.engine.app, method, raw, urlencode(query or {}), data)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._server.loop))


async def _ask(app: ASGIApp, method: str, path: str, query: str, data: bytes | None) -> Reply:
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }  # fmt: skip
    status, parts, given = 0, list[bytes](), False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # who asks is not going away
        given = True
        return {"type": "http.request", "body": data or b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Reply(status, b"".join(parts), None)
