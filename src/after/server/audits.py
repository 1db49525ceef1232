"""`GET /tasks/_audit`: what was due between two instants, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.audit import TOLERANCE, Row, audit, needs_older
from after.clock import Clock, now
from after.dates import DAY, EARLIEST, LATEST, format_instant, parse_elapsed, parse_instant
from after.errors import BadRequest
from after.history import ARCHIVED
from after.server import archives, listing
from after.server.http import JSON, parameters
from after.server.listing import Found
from after.server.rows import Row as Stored
from after.server.sql import ROW
from after.server.store import Store
from after.status import ENDED, Status
from after.task import Document, checked

PARAMETERS = frozenset({"from", "to", "worker", "tag", "tolerance", "limit", "cursor"})
_OPEN = ", ".join(f"'{status}'" for status in Status if status not in ENDED)


class Place(Struct, frozen=True, array_like=True):
    """Where an answer begins: in which part of the tasks, at which of them, and at which of its rows."""

    low: int
    high: int
    part: int = 0
    date: int = EARLIEST
    id: str = ""
    row: int = 0


class Audits:
    """Answers at `/tasks/_audit`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Give the route."""
        return [Route("/tasks/_audit", self.audit, methods=["GET"])]

    async def audit(self, request: Request) -> Response:
        """Give rows: first of the tasks whose date is in that time, by date, then of those that have moved on."""
        given = parameters(request, PARAMETERS)
        limit, instant = listing.limit(given), now(self._clock)
        tolerance = checked("tolerance", parse_elapsed, given["tolerance"]) if "tolerance" in given else TOLERANCE
        wanted = listing.Filter.from_query(given)
        place = self._place(given, instant)
        rows: list[Row] = []
        cursor = None
        async for part, date, task in self._tasks(wanted, place):
            skipped = place.row if (part, date, task["_id"]) == (place.part, place.date, place.id) else 0
            found = audit(self._whole(task, place.low), place.low, place.high, instant, tolerance)[skipped:]
            left = limit - len(rows)
            rows += found[:left]
            if len(found) > left:
                cursor = Place(place.low, place.high, part, date, task["_id"], skipped + left)
                break
        secret = self._store.uuid
        return JSON({
            "from": format_instant(place.low), "to": format_instant(place.high), "rows": rows,
            "cursor": None if cursor is None else listing.to_cursor(msgspec.structs.astuple(cursor), secret),
        })  # fmt: skip

    def _place(self, given: dict[str, str], instant: int) -> Place:
        if "cursor" in given:
            return listing.from_cursor(given["cursor"], self._store.uuid, Place)  # type: ignore[no-any-return]
        high = checked("to", parse_instant, given["to"]) if "to" in given else instant
        low = checked("from", parse_instant, given["from"]) if "from" in given else max(high - DAY, EARLIEST)
        if low >= high:
            raise BadRequest("to: has to be later than from")
        return Place(low, high)

    def _whole(self, task: Document, low: int) -> Document:
        """Give a task with as much of its history as tells of what was due at `low` or later."""
        entries, first = task.get("history") or [], archives.archived(task)
        while first > 0 and needs_older(entries, low):
            first -= ARCHIVED
            entries = [*archives.entries(self._store, task, first, first + ARCHIVED), *entries]
        return {**task, "history": entries}

    async def _tasks(self, wanted: listing.Filter, place: Place) -> AsyncIterator[tuple[int, int, Document]]:
        """Give the tasks that may have been due, from a place on: the number of their part, their date, and they."""
        for part in range(place.part, 3):
            first = (place.date, place.id) if part == place.part else (EARLIEST, "")
            async for chunk in self._store.chunks(_statement(wanted, place, part, first)):
                for found in chunk if wanted.tag is None else listing.tagged(chunk, wanted.tag):
                    yield part, found[5], Stored(*found[:5]).document()


def _statement(
    wanted: listing.Filter, place: Place, part: int, first: tuple[int, str]
) -> Callable[[Found | None], tuple[str, Sequence[object]]]:
    """Select tasks due in that time; those that are due later by now; open ones that were due before and repeat."""
    low, high = ((place.low, place.high), (place.high, LATEST + 1), (EARLIEST, place.low))[part]
    if part == 0:
        index, equal, equals = listing.ranges(wanted)
    else:
        index, equal, equals = "document_moved", "moved IS NOT NULL", [()]
        if wanted.worker is not None:
            equal, equals = f"{equal} AND worker = ?", [(wanted.worker,)]
        if part == 2:
            equal += f" AND status IN ({_OPEN})"

    def statement(last: Found | None) -> tuple[str, Sequence[object]]:
        behind, position = (">=", max(first, (low, ""))) if last is None else (">", (last[5], last[0]))
        one = (
            f"SELECT {ROW}, date FROM document INDEXED BY {index} "  # noqa: S608
            f"WHERE {equal} AND (date, id) {behind} (?, ?) AND date < ?"
        )
        text = f"{' UNION ALL '.join([one] * len(equals))} ORDER BY date, id"
        values: list[Any] = [value for each in equals for value in (*each, *position, high)]
        return text, values

    return statement
