"""Following the changes feed, from node to node."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct

from after.database.nodes import Node
from after.database.transport import CONNECTION_ERRORS, Transport, cause, refused
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


async def changes(
    transport: Transport, *, since: object, selector: Mapping[str, Any], heartbeat: float
) -> AsyncIterator[list[Change]]:
    """Give what changed, as many rows at a time as one read brings; an empty list is a sign of life.

    Where a node ends the feed or falls silent it goes on at the next, behind the last row; that may repeat rows, for a
    position of one node is only about the same place on another. Ends when no node goes on; raises `Unreachable` when
    each has been cut off, or silent for three heartbeats.
    """
    failed = 0
    while True:
        node = transport.node
        try:
            async with aclosing(_follow(transport, node, since, selector, heartbeat)) as lines:
                async for rows in lines:
                    failed = 0
                    if rows:
                        since = rows[-1].seq
                    yield rows
        except Unreachable:
            failed += 1
            transport.move_on(node)
            if failed >= len(transport.nodes):
                raise
        else:
            failed += 1
            transport.move_on(node)
            if failed >= len(transport.nodes):
                return


async def _follow(
    transport: Transport, node: Node, since: object, selector: Mapping[str, Any], heartbeat: float
) -> AsyncGenerator[list[Change], None]:
    query = {
        "feed": "continuous", "filter": "_selector", "include_docs": "true",
        "heartbeat": str(round(heartbeat * 1000)), "since": since if isinstance(since, str) else _text(since),
    }  # fmt: skip
    data = msgspec.json.encode({"selector": selector})
    try:
        async with transport.stream(node, "_changes", query, data, 3 * heartbeat) as response:
            if response.status != 200:
                refusal = refused(response.status, await response.read())
                if response.status < 500:
                    raise refusal
                raise Unreachable(f"{node.url}/_changes: {refusal.reason}")
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                yield [_change(line) for line in lines if line.strip() and b'"last_seq"' not in line[:20]]
    except CONNECTION_ERRORS as error:
        raise Unreachable(f"{node.url}/_changes: {cause(error)}") from error


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
