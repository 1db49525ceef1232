"""Following the changes feed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from after.errors import Unreachable
from after.task import Document


class Change(Struct):
    """A row of the feed: the document as it is now, or that it was deleted. `seq` is opaque."""

    seq: Any
    id: str
    deleted: bool = False
    doc: Document | None = None


class _Line(Struct):
    seq: Any = None
    id: str = ""
    deleted: bool = False
    doc: Document | None = None
    error: str | None = None
    reason: str = ""


_line = msgspec.json.Decoder(_Line)

CONNECT_SECONDS = 10.0
CHUNK = 256 * 1024


async def changes(
    session: aiohttp.ClientSession, url: URL, *, since: object, selector: Mapping[str, Any], heartbeat: float
) -> AsyncIterator[list[Change]]:
    """Give what changed, as many rows at a time as one read brings; an empty list is a sign of life.

    Ends when the engine ends the feed; raises `Unreachable` when it is cut off or silent for three heartbeats.
    """
    query = {
        "feed": "continuous", "filter": "_selector", "include_docs": "true",
        "heartbeat": str(round(heartbeat * 1000)), "since": since if isinstance(since, str) else _text(since),
    }  # fmt: skip
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=3 * heartbeat)
    try:
        async with session.post(
            url / "_changes", params=query, json={"selector": selector}, timeout=timeout, read_bufsize=CHUNK
        ) as response:
            if response.status != 200:
                raise Unreachable(f"{url}/_changes answered {response.status}: {(await response.text())[:500]}")
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                yield [_change(line) for line in lines if line.strip() and b'"last_seq"' not in line[:20]]
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"{url}/_changes: {cause(error)}") from error


def cause(error: Exception) -> str:
    """Say in a few words why there is no answer; aiohttp's own words for a refused connection are many."""
    if isinstance(error, aiohttp.ClientConnectorError) and (error.os_error.errno or 0) > 0:
        return os.strerror(error.os_error.errno or 0)
    return str(error) or type(error).__name__


def _text(since: object) -> str:
    return msgspec.json.encode(since).decode()


def _change(line: bytes) -> Change:
    try:
        row = _line.decode(line)
    except msgspec.DecodeError as error:
        raise Unreachable(f"the feed sent what is not a change: {error}") from None
    if row.error is not None:
        raise Unreachable(f"the feed ended: {row.error}: {row.reason}")
    return Change(row.seq, row.id, row.deleted, row.doc)
