"""A load generator: connections that each send their next request when the answer to the last has come.

It does as little as it can besides, so that it takes little of the processors that it shares with what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, cast

import uvloop


class Load(NamedTuple):
    """What came of a load: requests a second, and how many answers had another code than was expected."""

    rate: float
    wrong: int


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], expected: bytes, ended: asyncio.Future[int]) -> None:
        self._requests, self._expected, self._ended = requests, expected, ended
        self._buffer = b""
        self._wrong = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._wrong += not head.startswith(self._expected)
            self._buffer = rest[length:]
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(error or ConnectionError("the server closed a connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
            return
        self._ended.set_result(self._wrong)
        self._transport.close()


def post(path: str, port: int, body: bytes, kind: str = "application/json") -> bytes:
    """Give the bytes of a POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(port: int, requests: Sequence[bytes], connections: int, code: int = 201) -> Load:
    """Send all requests over so many connections; give what came of it."""

    async def work() -> Load:
        loop = asyncio.get_running_loop()
        shared = iter(requests)
        ended = [loop.create_future() for _ in range(connections)]
        began = time.perf_counter()
        for future in ended:
            connect = partial(_Connection, shared, b"HTTP/1.1 %d" % code, future)
            await loop.create_connection(connect, "127.0.0.1", port)
        wrong = sum(await asyncio.gather(*ended))
        return Load(len(requests) / (time.perf_counter() - began), wrong)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())
