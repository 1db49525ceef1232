"""The changes feed over HTTP, for the database and for `/tasks`: normal, long poll, continuous and event stream.

A reader is a position in the feed (`after.server.changes`) and nothing else, so that hundreds may follow at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from after.errors import BadRequest
from after.server import filters
from after.server.changes import Changes, line
from after.server.filters import Matches
from after.server.http import body, decode, decode_object, flag, number, parameters
from after.server.protocol import streamed
from after.server.reading import Shown, leaves, told
from after.server.rows import Change, Row, encode
from after.server.sql import ROW
from after.server.store import Store
from after.task import Document

CHUNK = 200
"""Changes read without letting the event loop go on."""
COUNTED = 10_000
"""Up to so many changes that are still to come are counted; of more their difference in seq is told."""
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
FEEDS = ("normal", "longpoll", "continuous", "live", "eventsource")
PARAMETERS = frozenset({
    "feed", "since", "last-event-id", "limit", "include_docs", "conflicts", "descending", "style",
    "heartbeat", "timeout",
})  # fmt: skip
"""The parameters that `Options.from_query` reads."""
_OTHERS = frozenset({"filter", "worker", "doc_ids", "attachments", "att_encoding_info", "seq_interval", "r"})


class Options(msgspec.Struct, frozen=True):
    """How a reader wants to be told. `since` None is now; `heartbeat` and `timeout` are seconds."""

    feed: str = "normal"
    since: int | None = 0
    limit: int | None = None
    include_docs: bool = False
    conflicts: bool = False
    descending: bool = False
    all_leaves: bool = False
    heartbeat: float | None = None
    timeout: float = MINUTE / 1000

    @classmethod
    def from_query(cls, given: dict[str, str], last_event_id: str | None) -> Options:
        """Read the parameters of a request; raise `BadRequest` for one that is wrong.

        `last_event_id` is the header that a browser sends when it takes up an event stream again.
        """
        feed = _one_of("feed", given.get("feed", "normal"), FEEDS)
        since = given.get("last-event-id", given.get("since", "0"))
        if feed == "eventsource" and last_event_id is not None:
            since = last_event_id
        if flag(given, "descending") and feed != "normal":
            raise BadRequest("descending: goes with feed=normal only")
        return cls(
            feed="continuous" if feed == "live" else feed,
            since=_seq(since),
            # CouchDB takes a limit of 0 for 1.
            limit=max(1, number(given, "limit", 1)) if "limit" in given else None,
            include_docs=flag(given, "include_docs"),
            conflicts=flag(given, "conflicts"),
            descending=flag(given, "descending"),
            all_leaves=_one_of("style", given.get("style", "main_only"), ("main_only", "all_docs")) == "all_docs",
            heartbeat=_heartbeat(given),
            timeout=_seconds(given, "timeout"),
        )


def _one_of(name: str, text: str, known: Iterable[str]) -> str:
    if text not in known:
        raise BadRequest(f"{name}: expected one of {', '.join(known)}, got {text!r:.80}")
    return text


def _seq(text: str) -> int | None:
    return None if text == "now" else number({"since": text.strip('"')}, "since", 0)


def _heartbeat(given: dict[str, str]) -> float | None:
    if given.get("heartbeat") in (None, "false"):
        return None
    return MINUTE / 1000 if given["heartbeat"] == "true" else _seconds(given, "heartbeat", low=1)


def _seconds(given: dict[str, str], name: str, low: int = 0) -> float:
    return min(number(given, name, MINUTE, low), DAY) / 1000


HEAD = Response(media_type="application/json")
"""The answer to HEAD of a live feed: the feed without its content would never end."""


class Feed:
    """Tells the changes of a store. `close` ends all live feeds, so that a server can stop."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._changes = changes
        self._closing = False
        self._waiting: set[asyncio.Timeout] = set()

    def routes(self) -> list[BaseRoute]:
        """Give the route of the database's own feed."""
        return [Route("/after/_changes", self.changes, methods=["GET", "POST"])]

    def close(self) -> None:
        """End the live feeds, each with its last line, and let no other begin. To be called on the event loop."""
        self._closing = True
        for scope in self._waiting:
            scope.reschedule(asyncio.get_running_loop().time())

    async def changes(self, request: Request) -> Response:
        """Answer `GET` and `POST /after/_changes`."""
        given = parameters(request, PARAMETERS | _OTHERS)
        options = Options.from_query(given, request.headers.get("last-event-id"))
        if request.method == "HEAD" and options.feed != "normal":
            return HEAD
        asked: Document = {}
        if request.method == "POST" and (raw := await body(request)):
            asked = decode_object(raw)
        if "doc_ids" in given:
            asked["doc_ids"] = decode(given["doc_ids"].encode())
        return await self._respond(options, filters.chosen(given, asked))

    async def respond(self, options: Options, matches: Callable[[Document], bool] | None = None) -> Response:
        """Answer with the changes whose document matches, all of them where `matches` is None.

        The document has its `_id` and `_rev`, and `_deleted` where it is deleted: a predicate that wants no deletions
        has to say so.
        """
        return await self._respond(options, None if matches is None else filters.on_documents(matches))

    async def _respond(self, options: Options, matches: Matches | None) -> Response:
        since = self._store.seq if options.since is None else options.since
        reading = _Reading(since, options, matches)
        if options.feed == "continuous":
            return StreamingResponse(self._continuous(reading), media_type="application/json")
        if options.feed == "eventsource":
            headers = {"Cache-Control": "no-cache"}
            return StreamingResponse(self._events(reading), media_type="text/event-stream", headers=headers)
        if options.feed == "longpoll":
            return StreamingResponse(self._whole(reading), media_type="application/json")
        return await streamed(self._whole(reading))

    async def _continuous(self, reading: _Reading) -> AsyncIterator[bytes]:
        async for batch in self._batches(reading):
            yield b"".join([self._line(change, reading.options) + b"\n" for change in batch]) or b"\n"
        yield b'{"last_seq":%d,"pending":%d}\n' % (reading.seq, self._pending(reading))

    async def _events(self, reading: _Reading) -> AsyncIterator[bytes]:
        async for batch in self._batches(reading):
            events = [
                b"data: %s\nid: %d\n\n" % (self._line(change, reading.options), change.row.seq) for change in batch
            ]
            yield b"".join(events) or b"event: heartbeat\ndata: \n\n"

    async def _whole(self, reading: _Reading) -> AsyncIterator[bytes]:
        batches = self._backwards(reading) if reading.options.descending else self._batches(reading)
        between = b""
        yield b'{"results":[\n'
        async for batch in batches:
            lines = [self._line(change, reading.options) for change in batch]
            yield between + b",\n".join(lines) if lines else b"\n"
            between = b",\n" if lines else between
        yield b'\n],\n"last_seq":%d,"pending":%d}\n' % (reading.seq, self._pending(reading))

    async def _batches(self, reading: _Reading) -> AsyncIterator[list[Change]]:
        """Give what matches, as it comes; an empty list is a heartbeat. Ends as the options say."""
        while not reading.finished():
            batch = self._next(reading)
            if found := reading.take(batch):
                yield found
                reading.told()
            if self._ends(reading, caught_up=len(batch) < CHUNK):
                return
            if batch and (reading.patience() > 0 or reading.options.feed == "normal"):
                await asyncio.sleep(0)
            elif reading.patience() <= 0 or not await self._wait(reading):
                if reading.options.heartbeat is None or self._closing:
                    return
                yield []
                reading.told()

    def _next(self, reading: _Reading) -> list[Change]:
        """Read on: what was there before from the database, which has each document once, then what is committed."""
        if not reading.behind:
            return self._changes.after(reading.seq, CHUNK)
        found = self._store.select(
            f"SELECT {ROW} FROM document WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
            (reading.seq, CHUNK),
        )
        reading.behind = len(found) == CHUNK
        return [reading.change(Row(*row)) for row in found]

    def _ends(self, reading: _Reading, *, caught_up: bool) -> bool:
        feed = reading.options.feed
        if feed == "normal":
            return caught_up
        return self._closing or (feed == "longpoll" and caught_up and reading.found)

    async def _backwards(self, reading: _Reading) -> AsyncIterator[list[Change]]:
        """Give what matches, the latest first, all that there is, as CouchDB does whatever `since` says."""

        def statement(last: tuple[Any, ...] | None) -> tuple[str, tuple[Any, ...]]:
            before = self._store.seq if last is None else last[2] - 1
            return f"SELECT {ROW} FROM document WHERE seq <= ? ORDER BY seq DESC", (before,)  # noqa: S608

        async for chunk in self._store.chunks(statement):
            found = reading.take([reading.change(Row(*row)) for row in chunk])
            if found:
                yield found
            if reading.finished():
                return

    async def _wait(self, reading: _Reading) -> bool:
        """Wait for a change; False when it is time for a heartbeat, or to end."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._waiting.add(scope)
                return await self._changes.wait(reading.seq, reading.patience())
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(scope)

    def _pending(self, reading: _Reading) -> int:
        ahead: int = max(0, self._store.seq - reading.seq)
        if ahead <= COUNTED or reading.options.descending:
            side = "<" if reading.options.descending else ">"
            ((ahead,),) = self._store.select(f"SELECT count(*) FROM document WHERE seq {side} ?", (reading.seq,))  # noqa: S608
        return ahead

    def _line(self, change: Change, options: Options) -> bytes:
        if not options.all_leaves and not options.conflicts:
            return line(change, include_docs=options.include_docs)
        row = change.row
        known = leaves(self._store, row.id) if options.all_leaves else []
        revs = [row.rev, *(leaf.row.rev for leaf in known[1:])]
        told_change: dict[str, object] = {"seq": row.seq, "id": row.id, "changes": [{"rev": rev} for rev in revs]}
        if row.deleted:
            told_change["deleted"] = True
        if options.include_docs:
            told_change["doc"] = msgspec.Raw(told(self._store, row, Shown(conflicts=options.conflicts)))
        return encode(told_change)


class _Reading:
    """Where a reader is, and how much it still wants."""

    def __init__(self, seq: int, options: Options, matches: Matches | None) -> None:
        self.seq = seq
        self.options = options
        self.behind = True
        self._matches = matches
        self._left = options.limit
        self.found = False
        self.told()

    def change(self, row: Row) -> Change:
        """Give a row of the database as a change; only a filter needs its document."""
        return Change(row, {} if self._matches is None else row.document())

    def take(self, batch: list[Change]) -> list[Change]:
        """Give what matches of the next changes, up to the limit, and go on behind it."""
        found = batch if self._matches is None else [change for change in batch if self._matches(change)]
        if self._left is not None:
            found = found[: self._left]
            self._left -= len(found)
        if batch:
            self.seq = found[-1].row.seq if self._left == 0 and found else batch[-1].row.seq
        self.found = self.found or bool(found)
        return found

    def finished(self) -> bool:
        """Tell whether the reader has got what it wants."""
        return self._left == 0

    def told(self) -> None:
        """Note that the reader heard of us just now."""
        self._told = asyncio.get_running_loop().time()

    def patience(self) -> float:
        """Give the seconds until it has to hear of us again."""
        interval = self.options.heartbeat or self.options.timeout
        return max(0.0, self._told + interval - asyncio.get_running_loop().time())
