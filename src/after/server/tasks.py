"""The REST interface: tasks over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.clock import Clock, now
from after.errors import BadRequest, Conflict, Refusal
from after.server import listing, posting
from after.server.feed import PARAMETERS as FEED_PARAMETERS
from after.server.feed import Feed, Options
from after.server.http import JSON, body, decode_document, number, parameters, split
from after.server.listing import Filter
from after.server.posting import Post, Taken
from after.server.protocol import matches_etag
from after.server.rows import Edit, Row, encode
from after.server.store import Store
from after.server.workers import Workers
from after.status import Role
from after.task import Document, is_task

BATCH = 250
"""Tasks read without letting the event loop go on."""
NDJSON = ("application/x-ndjson", "application/jsonl", "application/ndjson")


class Tasks:
    """Answers everything below `/tasks`."""

    def __init__(self, store: Store, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._workers = Workers(store, clock)

    def routes(self) -> list[BaseRoute]:
        """Give the routes, those of fixed paths before those of ids."""
        return [
            Route("/tasks", self.post, methods=["POST"]),
            Route("/tasks", self.list_all, methods=["GET"]),
            Route("/tasks/_all_tasks", self.list_all, methods=["GET"]),
            Route("/tasks/_bulk", self.bulk, methods=["POST"]),
            Route("/tasks/_changes", self.changes, methods=["GET"]),
            *self._workers.routes(),
            Route("/tasks/{id:path}/history", self.history, methods=["GET"]),
            Route("/tasks/{id:path}", self.post, methods=["POST"]),
            Route("/tasks/{id:path}", self.get, methods=["GET"]),
            Route("/tasks/{id:path}", self.delete, methods=["DELETE"]),
        ]

    async def post(self, request: Request) -> Response:
        """Put a task, or change one that is there."""
        parameters(request, ())
        document = decode_document(await body(request))
        identity = _id(request) if "id" in request.path_params else None
        one = posting.read(document, identity, _if_match(request), now(self._clock))
        (outcome,) = await posting.post(self._store, [one], now(self._clock))
        if isinstance(outcome, Refusal):
            raise outcome
        row = outcome.row
        answer = JSON(
            b'{"ok":true,"id":%s,"rev":"%s","task":%s}\n' % (encode(row.id), row.rev.encode(), row.json()),
            201 if outcome.created else 200,
        )
        answer.headers["ETag"] = _etag(row)
        if outcome.created:
            answer.headers["Location"] = str(request.url.replace(path=f"/tasks/{row.id}", query=""))
        return answer

    async def bulk(self, request: Request) -> Response:
        """Put or change many tasks; tell for each, in order, what became of it."""
        parameters(request, ())
        raw = await body(request, ("application/json", *NDJSON))
        kind = request.headers["content-type"].partition(";")[0].strip().lower()
        elements = _lines(raw) if kind in NDJSON else split(raw)
        posts: list[Post | Refusal] = []
        for start in range(0, len(elements), BATCH):
            posts += [self._read(element) for element in elements[start : start + BATCH]]
            await asyncio.sleep(0)
        outcomes = await posting.post(self._store, posts, now(self._clock))
        rows = [_line(one, outcome) for one, outcome in zip(posts, outcomes, strict=True)]
        return JSON(b"[%s]\n" % b",\n".join(rows), 201)

    async def list_all(self, request: Request) -> Response:
        """Give tasks by date, page by page."""
        given = parameters(request, listing.PARAMETERS)
        wanted = Filter.from_query(given)
        rows, cursor = await listing.page(self._store, wanted, listing.limit(given), given.get("cursor"))
        documents = b",\n".join(row.json() for row in rows)
        return JSON(b'{"tasks":[%s],"cursor":%s}\n' % (documents, encode(cursor)))

    async def get(self, request: Request) -> Response:
        """Give a task."""
        parameters(request, ())
        row = posting.task_row(self._store, _id(request))
        if matches_etag(request, _etag(row)):
            return Response(status_code=304, headers={"ETag": _etag(row)})
        return JSON(row.json() + b"\n", headers={"ETag": _etag(row)})

    async def history(self, request: Request) -> Response:
        """Give the history of a task, the oldest entry first."""
        given = parameters(request, ("limit", "cursor"))
        size, start = listing.limit(given), number(given, "cursor", 0)
        history = posting.task_row(self._store, _id(request)).document().get("history") or []
        following = start + size
        cursor = str(following) if following < len(history) else None
        return JSON({"history": history[start:following], "cursor": cursor})

    async def delete(self, request: Request) -> Response:
        """Remove a task with its history."""
        parameters(request, ())
        named = _if_match(request)
        for _ in range(posting.TRIES):
            row = posting.task_row(self._store, _id(request))
            if named not in (None, row.rev):
                break
            edit = Edit(row.id, row.rev, {}, b"{}", None, True, Role.CLIENT)
            (answer,) = await self._store.write([edit])
            if not isinstance(answer, Refusal):
                return JSON({"ok": True, "id": answer.id, "rev": answer.rev})
        raise Conflict("Document update conflict.")

    async def changes(self, request: Request) -> Response:
        """Give the changes of tasks, now or as they come."""
        given = parameters(request, FEED_PARAMETERS | listing.FILTERS)
        options = Options.from_query(given, request.headers.get("last-event-id"))
        return await self._feed.respond(options, _matches(Filter.from_query(given)))

    def _read(self, element: msgspec.Raw) -> Post | Refusal:
        try:
            return posting.read(decode_document(element), None, None, now(self._clock))
        except Refusal as error:
            return error


def _matches(wanted: Filter) -> Callable[[Document], bool]:
    def matches(document: Document) -> bool:
        return (
            is_task(document)
            and wanted.worker in (None, document["worker"])
            and (not wanted.statuses or (document.get("status") or "waiting") in wanted.statuses)
            and (wanted.tag is None or wanted.tag in (document.get("tags") or ()))
        )

    return matches


def _line(one: Post | Refusal, outcome: Taken | Refusal) -> bytes:
    if isinstance(outcome, Refusal):
        identity = None if isinstance(one, Refusal) else one.id
        return encode({"id": identity, "error": outcome.error, "reason": outcome.reason})
    return b'{"ok":true,"id":%s,"rev":"%s"}' % (encode(outcome.row.id), outcome.row.rev.encode())


def _lines(raw: bytes) -> list[msgspec.Raw]:
    return [msgspec.Raw(line) for line in raw.split(b"\n") if line.strip()]


def _id(request: Request) -> str:
    """Give the id in the path, which is decoded only here, so that `a%2Fhistory` is an id."""
    path = request.scope["raw_path"].decode("latin-1").removeprefix("/tasks/")
    if request.scope["path"].endswith("/history"):
        path = path.removesuffix("/history")
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("_id: is not UTF-8") from None


def _if_match(request: Request) -> str | None:
    given = request.headers.get("if-match")
    return None if given is None else given.strip().strip('"')


def _etag(row: Row) -> str:
    return f'"{row.rev}"'
