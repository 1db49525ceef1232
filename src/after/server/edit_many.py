"""`POST /tasks/_edit`: cancel, reschedule or run again all tasks that a filter selects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after import editing
from after.clock import Clock, now
from after.dates import EARLIEST, LATEST
from after.editing import Edit
from after.editor import Editor
from after.errors import Refusal
from after.server import listing
from after.server.edits import edit as edit_of
from after.server.http import JSON, body, decode_object, parameters
from after.server.listing import Found
from after.server.rows import Edit as Write
from after.server.sql import ROW
from after.server.store import Store
from after.server.waiting import Waiting, may_close
from after.status import Role
from after.task import Document

Position = tuple[int, str, int]
"""Date and id of the last task of an answer, and the instant of the first request, from which durations count."""


class EditMany:
    """Answers at `/tasks/_edit`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Give the route."""
        return [Route("/tasks/_edit", self.edit, methods=["POST"])]

    async def edit(self, request: Request) -> Response:
        """Edit the tasks that fit; tell of each what becomes of it, or why nothing does."""
        parameters(request, ())
        given = decode_object(await body(request))
        at, last = now(self._clock), None
        if isinstance(given.get("cursor"), str):
            *last, at = listing.from_cursor(given["cursor"], self._store.uuid, Position)
        edit, asked = editing.read(given, at)
        found, more = await self._selected(edit, asked.limit, last)
        editor = Editor(edit, _Keeper(self._store), self._clock, dry_run=asked.dry_run)
        await editor.run([identity for _, identity in found])
        cursor = listing.to_cursor((*found[-1], at), self._store.uuid) if more else None
        return JSON(editing.answer(editor.lines.values(), dry_run=asked.dry_run, cursor=cursor))

    async def _selected(self, edit: Edit, limit: int, last: Sequence[Any] | None) -> tuple[list[tuple[int, str]], bool]:
        """Give date and id of the tasks that fit, in order, and whether there are more."""
        if edit.ids is not None:
            return [(0, identity) for identity in edit.ids], False
        found: dict[str, int] = {}
        more = False
        async for chunk in self._store.chunks(_statement(edit, last)):
            for identity, *_, date in chunk if edit.tag is None else listing.tagged(chunk, edit.tag):
                found.setdefault(identity, date)
            if more := len(found) > limit:
                break
        return [(date, identity) for identity, date in found.items()][:limit], more


def _statement(edit: Edit, last: Sequence[Any] | None) -> Callable[[Found | None], tuple[str, Sequence[object]]]:
    """Select along the index that fits. What is moved to a later date is not met again: the latest come first."""
    index, equal, ranges = listing.ranges(listing.Filter(edit.worker, edit.statuses, edit.tag))
    columns = ROW if edit.tag is not None else "id, NULL, NULL, NULL, NULL"
    low, high = EARLIEST if edit.low is None else edit.low, LATEST + 1 if edit.high is None else edit.high
    direction, behind = ("DESC", "<") if edit.shift is not None and edit.shift > 0 else ("ASC", ">")
    first = last or ((high, "") if direction == "DESC" else (low, ""))
    part = (
        f"SELECT {columns}, date FROM document INDEXED BY {index} "  # noqa: S608
        f"WHERE {equal} AND (date, id) {behind} (?, ?) AND date >= ? AND date < ?"
    )
    text = f"{' UNION ALL '.join([part] * len(ranges))} ORDER BY date {direction}, id {direction}"

    def statement(row: Found | None) -> tuple[str, Sequence[object]]:
        position = first if row is None else (row[5], row[0])
        return text, [value for values in ranges for value in (*values, *position, low, high)]

    return statement


class _Keeper:
    """The store, as what edits many tasks wants it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, identities: Sequence[str]) -> dict[str, Document]:
        """Give the documents that there are."""
        rows = [row for identity in identities if (row := self._store.get(identity)) is not None and not row.deleted]
        return {row.id: row.document() for row in rows}

    async def write(self, documents: Sequence[Document]) -> list[Refusal | None]:
        """Write tasks as a client."""
        waiting = Waiting(self._store)
        checked = [self._checked(document, waiting) for document in documents]
        answers = iter(await self._store.write([one for one in checked if not isinstance(one, Refusal)]))
        told = [one if isinstance(one, Refusal) else next(answers) for one in checked]
        return [answer if isinstance(answer, Refusal) else None for answer in told]

    @staticmethod
    def _checked(document: Document, waiting: Waiting) -> Write | Refusal:
        try:
            made = edit_of(document, document["_id"], document["_rev"], Role.CLIENT)
            if may_close({"status": document["status"]}, document):
                waiting.add(made)
        except Refusal as refusal:
            return refusal
        return made
