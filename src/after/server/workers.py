"""The workers, over HTTP: who they are, what they do, and pausing them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.clock import Clock, now
from after.dates import format_instant
from after.errors import BadRequest, Conflict, NotFound, Refusal
from after.roster import PREFIX, roster
from after.server.edits import edit
from after.server.http import JSON, body, decode_document, parameters
from after.server.rows import Row
from after.server.sql import ROW
from after.server.store import Store
from after.status import Role
from after.task import Document

TRIES = 10


class Workers:
    """Answers everything below `/tasks/workers`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [
            Route("/tasks/workers", self.list_all, methods=["GET"]),
            Route("/tasks/workers/{name}", self.worker, methods=["GET", "POST"]),
        ]

    async def list_all(self, request: Request) -> Response:
        """Give all workers."""
        parameters(request, ())
        return JSON({"workers": await workers(self._store, self._clock)})

    async def worker(self, request: Request) -> Response:
        """Give one worker, or pause and resume it."""
        parameters(request, ())
        name = _name(request)
        return await self._control(request, name) if request.method == "POST" else JSON(await self._worker(name))

    async def _control(self, request: Request, name: str) -> Response:
        """Pause or resume a worker, with a note that everyone sees."""
        asked = decode_document(await body(request))
        for field in sorted(asked.keys() - {"paused", "note"}):
            raise BadRequest(f"{field}: is not a known field here; known: note, paused")
        paused, note = asked.get("paused"), asked.get("note")
        if not isinstance(paused, bool):
            raise BadRequest("paused: expected true or false")
        if not isinstance(note, str | None):
            raise BadRequest("note: expected `string`")
        await self._worker(name)
        at = format_instant(now(self._clock))
        await self._write(PREFIX + name, {"name": name, "paused": paused, "note": note, "by": "client", "at": at})
        return JSON({"ok": True, "worker": await self._worker(name)})

    async def _write(self, identity: str, changes: Document) -> None:
        for _ in range(TRIES):
            row = self._store.get(identity)
            known = row.document() if row is not None and not row.deleted else {}
            base = row.rev if row is not None and not row.deleted else None
            (answer,) = await self._store.write(
                [edit({**known, "type": "control", **changes}, identity, base, Role.CLIENT)]
            )
            if not isinstance(answer, Conflict):
                break
        if isinstance(answer, Refusal):
            raise answer

    async def _worker(self, name: str) -> Document:
        found = await workers(self._store, self._clock, name)
        if not found:
            raise NotFound(f"there is no worker {name!r}, and no task for one of this name")
        return found[0]


async def workers(store: Store, clock: Clock, name: str | None = None) -> list[Document]:
    """Give all workers, or the one of this name, each with its processes and the counts of its tasks."""
    documents = [document async for document in _documents(store, name)]
    return roster(documents, store.tally(), now(clock), name)


async def _documents(store: Store, name: str | None) -> AsyncIterator[Document]:
    """Give the documents of all workers, or of those whose names begin so that one of them may be meant."""
    low = PREFIX
    if name is not None:
        low = f"{PREFIX}{name}:"
        control = store.get(PREFIX + name)
        if control is not None and not control.deleted:
            yield control.document()
    text = f"SELECT {ROW} FROM document WHERE id > ? AND id < ? AND deleted = 0 ORDER BY id"  # noqa: S608
    high = f"{low[:-1]};"  # the character after the colon
    async for chunk in store.chunks(lambda last: (text, (low if last is None else last[0], high))):
        for found in chunk:
            yield Row(*found).document()


def _name(request: Request) -> str:
    name = unquote(request.scope["raw_path"].decode("latin-1").rsplit("/", 1)[1])
    if not 1 <= len(name) <= 128:
        raise BadRequest("name: expected 1 to 128 characters")
    return name
