"""The REST interface: tasks over HTTP. What a post means is decided in `after.server.posted`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from after.clock import Clock, now
from after.errors import BadRequest, Conflict, Refusal, TooLarge
from after.server import archives, listing
from after.server.audits import Audits
from after.server.edit_many import EditMany
from after.server.feed import HEAD, Feed, Options
from after.server.feed import PARAMETERS as FEED_PARAMETERS
from after.server.http import JSON, MAX_DOCUMENTS, NEW_REV, body, decode_document, parameters, split
from after.server.listing import Filter, Wanted
from after.server.nexts import Nexts
from after.server.openapi import description
from after.server.openapi_many import extended
from after.server.posted import ANY, BATCH, TRIES, Outcome, Post, Posting, named, read, task_row
from after.server.protocol import matches_etag, streamed
from after.server.rows import Edit, encode
from after.server.store import Store
from after.server.workers import Workers

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
FUNCTIONS = frozenset({"_all_tasks", "_audit", "_bulk", "_changes", "_edit", "_next", "workers"})
"""What stands below `/tasks` in the place of an id and is none."""


class Tasks:
    """Answers at `/tasks` and all below it, and describes itself at `/openapi.json`."""

    def __init__(self, store: Store, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._posting = Posting(store, clock)
        self._workers = Workers(store, clock)
        self._more = [*EditMany(store, clock).routes(), *Audits(store, clock).routes(), *Nexts(clock).routes()]
        self._description = encode(extended(description()))

    def routes(self) -> list[BaseRoute]:
        """Give the routes; each path has one, so that a method that it does not take is answered with those it does."""
        return [
            Route("/tasks", self.tasks, methods=["GET", "POST"]),
            Route("/tasks/", self.tasks, methods=["GET", "POST"]),
            Route("/tasks/_all_tasks", self.list_all, methods=["GET"]),
            Route("/tasks/_bulk", self.bulk, methods=["POST"]),
            Route("/tasks/_changes", self.changes, methods=["GET"]),
            *self._more,
            *self._workers.routes(),
            TaskRoute("/tasks/{id}", self.task, methods=["GET", "POST", "DELETE"]),
            TaskRoute("/tasks/{id}/history", self.history, methods=["GET"]),
            Route("/openapi.json", self.describe, methods=["GET"]),
        ]

    async def tasks(self, request: Request) -> Response:
        """List tasks, or take one."""
        return await (self._post(request) if request.method == "POST" else self.list_all(request))

    async def task(self, request: Request) -> Response:
        """Take, give or delete the task with an id."""
        identity = _id(request)
        if request.method == "POST":
            return await self._post(request, identity)
        if request.method == "DELETE":
            return await self._delete(request, identity)
        parameters(request, ())
        row = task_row(self._store, identity)
        etag = f'"{row.rev}"'
        if matches_etag(request, etag):
            return Response(status_code=304, headers={"ETag": etag})
        return JSON(row.json() + b"\n", headers={"ETag": etag})

    async def _post(self, request: Request, identity: str | None = None) -> Response:
        if request.scope["query_string"]:  # looking costs more than reading the body
            parameters(request, ())
        document = decode_document(await body(request))
        post = read(document, now(self._clock), identity, named(request.headers.get("if-match")))
        (outcome,) = await self._posting.put([post])
        if isinstance(outcome, Refusal):
            raise outcome
        row = outcome.row
        content = b'{"ok":true,"id":%s,"rev":"%s","task":%s}\n' % (encode(row.id), row.rev.encode(), row.json())
        headers = {"ETag": f'"{row.rev}"', NEW_REV: row.rev}
        if outcome.created:
            headers["Location"] = f"/tasks/{quote(row.id, safe='')}"
        return JSON(content, 201 if outcome.created else 200, headers)

    async def _delete(self, request: Request, identity: str) -> Response:
        parameters(request, ())
        rev = named(request.headers.get("if-match"))
        for _ in range(TRIES):
            row = task_row(self._store, identity)
            if rev not in (None, ANY, row.rev):
                raise Conflict(f"_rev: {rev!r:.80} is not the current revision of {identity!r}")
            along = archives.deletions(self._store, row.document())
            (answer,) = await self._store.write([Edit(identity, row.rev, {}, b"{}", None, deleted=True, along=along)])
            if not isinstance(answer, Conflict):
                break
        if isinstance(answer, Refusal):
            raise answer
        return JSON({"ok": True, "id": identity, "rev": answer.rev}, headers={NEW_REV: answer.rev})

    async def list_all(self, request: Request) -> Response:
        """Give tasks by date, page by page."""
        given = parameters(request, listing.PARAMETERS)
        wanted = Wanted.from_query(given, self._store.uuid)
        return await streamed(listing.tasks(self._store, wanted))

    async def history(self, request: Request) -> Response:
        """Give the history of a task, the oldest entry first, page by page."""
        given = parameters(request, ("limit", "cursor"))
        secret, first = self._store.uuid, 0
        if "cursor" in given:
            (first,) = listing.from_cursor(given["cursor"], secret, tuple[int])
        last = first + listing.limit(given)
        task = task_row(self._store, _id(request)).document()
        cursor = listing.to_cursor((last,), secret) if last < archives.length(task) else None
        return JSON({"history": archives.entries(self._store, task, first, last), "cursor": cursor})

    async def changes(self, request: Request) -> Response:
        """Tell the changes of tasks, those that were and those to come."""
        given = parameters(request, FEED_PARAMETERS | listing.FILTERS)
        options = Options.from_query(given, request.headers.get("last-event-id"))
        if request.method == "HEAD" and options.feed != "normal":
            return HEAD
        return await self._feed.respond(options, Filter.from_query(given).matches)

    async def bulk(self, request: Request) -> Response:
        """Take many tasks; tell for each, in order, what became of it. One that is wrong is refused alone."""
        parameters(request, ())
        raw = await body(request, ("application/json", *NDJSON))
        is_lines = request.headers["content-type"].partition(";")[0].strip().lower() in NDJSON
        read_ones: list[Post | Refused] = []
        instant = now(self._clock)
        for place, element in enumerate(_lines(raw) if is_lines else split(raw)):
            if place % BATCH == BATCH - 1:
                await asyncio.sleep(0)
            read_ones.append(_read(element, instant))
        outcomes = iter(await self._posting.put([one for one in read_ones if isinstance(one, Post)]))
        told = [_line(one.id, next(outcomes) if isinstance(one, Post) else one.refusal) for one in read_ones]
        return JSON(b"[%s]\n" % b",\n".join(told), 201)

    async def describe(self, request: Request) -> Response:
        """Describe this interface in OpenAPI."""
        return JSON(self._description)


class TaskRoute(Route):
    """Matches by the path as it was sent, so that an id may have an encoded slash in it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match `{id}` with what is still encoded, unless it is a function's name."""
        if not scope["path"].startswith("/tasks/"):
            return Match.NONE, {}
        match, found = super().matches({**scope, "path": scope["raw_path"].decode("latin-1"), "root_path": ""})
        function = match != Match.NONE and found["path_params"]["id"] in FUNCTIONS
        return (Match.NONE, {}) if function else (match, found)


class Refused(msgspec.Struct, frozen=True):
    """An element of a request that never reached the store, and why; `id` where it has one."""

    id: str | None
    refusal: Refusal


def _id(request: Request) -> str:
    try:
        return unquote(request.path_params["id"], errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("_id: is not UTF-8") from None


def _read(element: bytes | msgspec.Raw, instant: int) -> Post | Refused:
    identity = None
    try:
        document = decode_document(element)
        identity = document.get("_id")
        return read(document, instant)
    except Refusal as refusal:
        return Refused(identity if isinstance(identity, str) else None, refusal)


def _lines(raw: bytes) -> Iterable[bytes]:
    """Split newline-delimited JSON; raise `TooLarge` over the limit of documents in a request."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if len(lines) > MAX_DOCUMENTS:
        raise TooLarge(f"{len(lines)} documents; a request may carry {MAX_DOCUMENTS}")
    return lines


def _line(identity: str | None, outcome: Outcome) -> bytes:
    if isinstance(outcome, Refusal):
        return encode({"id": identity, "error": outcome.error, "reason": outcome.reason})
    return b'{"ok":true,"id":%s,"rev":"%s"}' % (encode(outcome.row.id), outcome.row.rev.encode())
