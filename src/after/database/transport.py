"""Requests to the nodes of one database: who asks, and which node is asked when one does not answer.

A request that finds no answer goes to the next node, a write too. That is harmless because every write names the
revision that it follows: the same body makes the same revision again, so a write that was taken before is either taken
once more, as the same, or refused as a conflict with itself, which `Database.write` recognises.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from after.database.nodes import Node, nodes
from after.errors import Refusal, Unauthorized, Unreachable, refusal

logger = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds that a request may take before its connection counts as dead; the feed has its own, by heartbeats."""
PATIENCE = 3.0
"""The same where there is another node to ask. A look for due tasks and the claim that follows it may both be caught by
a node that falls silent; together they have to wait less than a worker claims ahead."""
CONNECT_SECONDS = 2.0
CONNECTION_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
CHUNK = 256 * 1024
WRONG = b"Name or password is incorrect"

_first = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=CONNECT_SECONDS)
_encode = msgspec.json.Encoder().encode


class Reply(Struct):
    """What a node answered; `again` says that the request was sent before, which may have done what it asks for."""

    status: int
    content: bytes
    date: str | None
    again: bool = False


class _Request(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str] | None
    data: bytes | None
    beside: bool
    """Whether the path is beside the database, not below it."""


class Transport:
    """Sends requests to the nodes named in `text`; the last of them may take `timeout` seconds.

    It is opened once, for a pool of connections; each request that is sent without has a connection of its own.
    """

    def __init__(self, text: str, timeout: float | None = TIMEOUT) -> None:
        self.nodes = nodes(text)
        self._last = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        self._place = 0
        self._session: aiohttp.ClientSession | None = None

    @property
    def node(self) -> Node:
        """The node that is asked next."""
        return self.nodes[self._place]

    def open(self) -> None:
        """Make the pool of connections, on the running loop."""
        assert self._session is None, "a database is opened once"
        self._session = _session()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def move_on(self, node: Node) -> None:
        """Ask another node from now on, unless that has been decided already."""
        if self.node is node and len(self.nodes) > 1:
            self._place = (self._place + 1) % len(self.nodes)
            logger.warning("%s does not answer; going on at %s", node.url, self.node.url)

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None, data: bytes | None, *, beside: bool = False
    ) -> Reply:
        """Ask the nodes in turn, each once, and give the first answer; `path` is below the database, or beside it.

        Raises `Unauthorized` where the account is refused, `Unreachable` where no node answered.
        """
        request, silent = _Request(method, path, query, data, beside), list[str]()
        for node in [*self.nodes[self._place :], *self.nodes[: self._place]]:
            last = len(silent) == len(self.nodes) - 1
            try:
                reply = await self._ask(node, request, self._last if last else _first)
            except CONNECTION_ERRORS as error:
                silent.append(f"{node.url}: {cause(error)}")
            else:
                if last or not _is_failing(reply):
                    reply.again = reply.again or bool(silent)
                    return reply
                silent.append(f"{node.url} answered {reply.status}")
            self.move_on(node)
        raise Unreachable("; ".join(silent))

    async def _ask(self, node: Node, request: _Request, patience: aiohttp.ClientTimeout) -> Reply:
        cookie = node.cookie
        reply = await self._send_twice(node, request, patience)
        if reply.status == 401:
            if await self._sign_in(node, cookie, reply.content):
                reply = await self._send(node, request, patience)
            if reply.status == 401:
                raise unauthorized(node, reply.content)
        return reply

    async def _send_twice(self, node: Node, request: _Request, patience: aiohttp.ClientTimeout) -> Reply:
        """Send a request again where a connection breaks: it was of the pool, and the node may have come back since."""
        try:
            return await self._send(node, request, patience)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            reply = await self._send(node, request, patience)
            reply.again = True
            return reply

    async def _send(self, node: Node, request: _Request, patience: aiohttp.ClientTimeout) -> Reply:
        headers = node.headers()
        if request.data is not None:
            headers["Content-Type"] = "application/json"
        url = _below(node, request.path, request.beside).with_query(request.query)
        async with (
            self._pool() as pool,
            pool.request(request.method, url, data=request.data, headers=headers, timeout=patience) as response,
        ):
            _keep_session(node, response)
            return Reply(response.status, await response.read(), response.headers.get("Date"))

    @asynccontextmanager
    async def stream(
        self, node: Node, path: str, query: Mapping[str, str], data: bytes, silence: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post to one node what it answers bit by bit; after so many seconds without any it counts as dead."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        for again in (False, True):
            cookie = node.cookie
            headers = {**node.headers(), "Content-Type": "application/json"}
            async with (
                self._pool() as pool,
                pool.post(
                    _below(node, path), params=query, data=data, headers=headers, timeout=timeout, read_bufsize=CHUNK
                ) as response,
            ):
                if response.status == 401:
                    content = await response.read()
                    if not again and await self._sign_in(node, cookie, content):
                        continue
                    raise unauthorized(node, content)
                _keep_session(node, response)
                yield response
                return

    async def _sign_in(self, node: Node, used: str | None, told: bytes) -> bool:
        """Begin a session where a node has not taken what it was asked with; tell whether to ask it again.

        Not for a password that is wrong: CouchDB counts attempts, and locks an account that has had too many.
        """
        if node.account is None or WRONG in told:
            return False
        async with node.signing:
            if node.cookie is not None and node.cookie != used:
                return True  # another request has done it meanwhile
            node.cookie = None
            body = _encode({"name": node.account.name, "password": node.account.password})
            async with (
                self._pool() as pool,
                pool.post(
                    _below(node, "_session", beside=True), data=body, headers={"Content-Type": "application/json"},
                    timeout=_first,
                ) as response,
            ):  # fmt: skip
                if response.status == 200 and (session := response.cookies.get("AuthSession")) is not None:
                    node.cookie = session.value
            return node.cookie is not None

    @asynccontextmanager
    async def _pool(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._session is not None:
            yield self._session
            return
        async with _session() as session:
            yield session


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json"},
    )


def _below(node: Node, path: str, beside: bool = False) -> URL:
    if beside:
        return node.url.parent / path
    return URL(f"{node.url}/{path}", encoded=True) if path else node.url


def _keep_session(node: Node, response: aiohttp.ClientResponse) -> None:
    """Take up the new cookie that CouchDB sends before the old one ends."""
    if node.cookie is not None and (session := response.cookies.get("AuthSession")) is not None and session.value:
        node.cookie = session.value


def _is_failing(reply: Reply) -> bool:
    """Tell whether a node answers only that it cannot; CouchDB says so with 412 where it finds no copy of a shard."""
    return (reply.status >= 500 and reply.status != 501) or (reply.status == 412 and b'"nodedown"' in reply.content)


def unauthorized(node: Node, content: bytes) -> Unauthorized:
    """Say which account was refused, and what to do about it."""
    reason = refused(401, content).reason
    if node.account is None:
        return Unauthorized(
            f"{node.url} wants an account: {reason}; give one in the URL, http://NAME:PASSWORD@HOST:PORT/DATABASE"
        )
    return Unauthorized(
        f"{node.url} refuses the account {node.account.name!r}: {reason}; "
        "look at the name and the password in the URL, where special characters are percent-encoded"
    )


def refused(status: int, content: bytes) -> Refusal:
    """Give the `Refusal` that an answer stands for."""
    try:
        told = msgspec.json.decode(content, type=dict[str, object])
    except msgspec.DecodeError:
        told = {}
    return refusal(status, str(told.get("error", "error")), str(told.get("reason", f"the engine answered {status}")))


def cause(error: Exception) -> str:
    """Say in a few words why there is no answer; aiohttp's own words for a refused connection are many."""
    if isinstance(error, aiohttp.ClientConnectorError) and (error.os_error.errno or 0) > 0:
        return os.strerror(error.os_error.errno or 0)
    return str(error) or type(error).__name__
