"""`POST /after/_find`: the documents that match a selector.

The indexes are those of the views, on the worker, the status and the date of tasks. So a selector that asks for a
worker or a status is about tasks, unless it asks for another `type`; any other selector reads all documents.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from itertools import product
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta
from starlette.requests import Request
from starlette.responses import Response

from after.errors import BadRequest
from after.selector import compile_selector, required_equalities
from after.server.http import body, decode_object
from after.server.protocol import DESIGN, array, refused, streamed
from after.server.rows import encode
from after.server.store import Store
from after.server.viewquery import ViewQuery
from after.server.viewrows import ALL_DOCS, VIEWS, Found, View, row_of, rows
from after.task import Document

Matches = Callable[[Document], bool]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
NOTHING = "nil"
WARNING = "No matching index found, create an index to optimize query time."


class FindQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of `_find`. The last seven fields mean nothing here."""

    selector: Any = UNSET
    fields: list[str] = []
    sort: list[str | dict[str, str]] = []
    limit: _Count = 25
    skip: _Count = 0
    bookmark: str = NOTHING
    use_index: Any = None
    r: Any = None
    conflicts: Any = None
    stable: Any = None
    update: Any = None
    stale: Any = None
    execution_stats: Any = None
    allow_fallback: Any = None


class Plan(NamedTuple):
    """Which ranges of which view hold all that can match, in the order that was asked for."""

    view: View
    prefixes: list[list[Any]]
    descending: bool = False

    def queries(self) -> list[ViewQuery]:
        """Give the query of each range."""
        return [self._query(prefix) for prefix in self.prefixes]

    def _query(self, prefix: list[Any]) -> ViewQuery:
        if not prefix:
            return ViewQuery(descending=self.descending)
        if self.view.scalar:
            return ViewQuery(startkey=prefix[0], endkey=prefix[0])
        low, high = prefix, [*prefix, {}]
        low, high = (high, low) if self.descending else (low, high)
        return ViewQuery(startkey=low, endkey=high, descending=self.descending)


class Place(NamedTuple):
    """Where the last answer ended: in which range, behind which row. It is what a bookmark says."""

    range: int
    order: list[Any]

    def text(self) -> str:
        """Give the bookmark."""
        return base64.urlsafe_b64encode(encode(self)).decode()

    @classmethod
    def parse(cls, bookmark: str, plan: Plan) -> Place | None:
        """Read a bookmark; raise CouchDB's `invalid_bookmark` where it is none of this query's."""
        if bookmark in ("", NOTHING):
            return None
        try:
            place = msgspec.json.decode(base64.urlsafe_b64decode(bookmark), type=Place)
        except ValueError:  # from both decoders
            place = Place(-1, [])
        if not 0 <= place.range < len(plan.prefixes) or len(place.order) != len(plan.view.order):
            raise refused("invalid_bookmark", f"Invalid bookmark value: {bookmark!r:.200}")
        return place


class Find:
    """Answers `POST /after/_find`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, request: Request) -> Response:
        """Answer with the documents that match, as many as were asked for, and where to go on."""
        query = _read(decode_object(await body(request)))
        matches = compile_selector(query.selector)
        plan = planned(query)
        answer = _Answer(query, plan)
        chunks = answer.lines(self._found(plan, Place.parse(query.bookmark, plan)), matches)
        return await streamed(answer.pieces(chunks))

    async def _found(self, plan: Plan, start: Place | None) -> AsyncIterator[tuple[int, list[Found]]]:
        first = 0 if start is None else start.range
        for number, query in enumerate(plan.queries()[first:], first):
            after = tuple(start.order) if start is not None and number == first else None
            async for chunk in rows(self._store, plan.view, query, after):
                yield number, chunk


class _Answer:
    """Collects what an answer to `_find` says behind its documents."""

    def __init__(self, query: FindQuery, plan: Plan) -> None:
        self._query = query
        self._plan = plan
        self._bookmark = query.bookmark or NOTHING

    async def lines(
        self, chunks: AsyncIterator[tuple[int, list[Found]]], matches: Matches
    ) -> AsyncIterator[list[bytes]]:
        """Give the documents that match, without those to skip, up to the limit."""
        skip, left = self._query.skip, self._query.limit
        if left == 0:
            return
        async for number, chunk in chunks:
            lines: list[bytes] = []
            for found in chunk:
                document = row_of(found).document()
                if found[-5].startswith(DESIGN) or not matches(document):
                    continue
                self._bookmark = Place(number, list(found[: len(self._plan.view.order)])).text()
                if skip:
                    skip -= 1
                    continue
                lines.append(encode(_projected(document, self._query.fields)))
                if len(lines) == left:
                    break
            left -= len(lines)
            yield lines
            if left == 0:
                return

    async def pieces(self, lines: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
        """Give the answer as JSON."""
        async for piece in array(lines, b'{"docs":[', b"\n]"):
            yield piece
        told = {"bookmark": self._bookmark}
        if self._plan.view is ALL_DOCS and self._plan.prefixes == [[]]:
            told["warning"] = WARNING
        yield b",\n" + encode(told)[1:] + b"\n"


def _read(given: Document) -> FindQuery:
    try:
        query = msgspec.convert(given, FindQuery)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from None
    if query.selector is UNSET:
        raise refused("missing_required_key", "Missing required key: selector")
    return query


def planned(query: FindQuery) -> Plan:
    """Choose the ranges to read; raise CouchDB's `no_usable_index` for an order that no index has."""
    hints = {name: sorted(values) for name, values in required_equalities(query.selector).items() if _texts(values)}
    tasks = "task" in hints.get("type", ["task"])
    workers, statuses = (hints.get("worker"), hints.get("status")) if tasks else (None, None)
    field, descending = _sort(query.sort)
    if field == "date":
        return _by_date(workers, statuses, descending)
    if "_id" in hints:
        return Plan(ALL_DOCS, [[identity] for identity in hints["_id"]][:: -1 if descending else 1], descending)
    if field == "_id":
        return Plan(ALL_DOCS, [[]], descending)
    if workers is not None:
        pairs = product(workers, statuses) if statuses is not None else product(workers)
        return Plan(VIEWS["by_worker"], [list(pair) for pair in pairs])
    if statuses is not None:
        return Plan(VIEWS["by_status"], [[status] for status in statuses])
    return Plan(ALL_DOCS, [[]])


def _by_date(workers: list[str] | None, statuses: list[str] | None, descending: bool) -> Plan:
    if statuses is not None and len(statuses) == 1:
        if workers is not None and len(workers) == 1:
            return Plan(VIEWS["by_worker"], [[workers[0], statuses[0]]], descending)
        return Plan(VIEWS["by_status"], [[statuses[0]]], descending)
    return Plan(VIEWS["by_date"], [[]], descending)


def _texts(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, str) for value in values)


def _sort(sort: list[str | dict[str, str]]) -> tuple[str | None, bool]:
    """Give the field to sort by, None where the order does not matter, and whether it is descending."""
    parts = [(part, "asc") if isinstance(part, str) else next(iter(part.items()), ("", "")) for part in sort]
    if not parts:
        return None, False
    directions = {direction for _, direction in parts}
    if [name for name, _ in parts] not in (["date"], ["_id"], ["date", "_id"]) or len(directions) > 1:
        raise refused("no_usable_index", "No index exists for this sort, try indexing by the sort fields.")
    (direction,) = directions
    if direction not in ("asc", "desc"):
        raise BadRequest(f"sort: expected asc or desc, got {direction!r:.80}")
    return parts[0][0], direction == "desc"


def _projected(document: Document, fields: list[str]) -> Document:
    """Give only some fields of a document; `a.b` is the member `b` of `a`."""
    if not fields:
        return document
    kept: Document = {}
    for field in fields:
        *way, last = field.split(".")
        source: Any = document
        for name in way:
            source = source.get(name) if isinstance(source, dict) else None
        if isinstance(source, dict) and last in source:
            target = kept
            for name in way:
                target = target.setdefault(name, {})
            target[last] = source[last]
    return kept
