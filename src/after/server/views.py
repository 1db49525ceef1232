"""The views of After's design document, `_design/after/_view/NAME`, each answered from an index of the store.

| view | key | value |
|---|---|---|
| `due` | [worker, ms] | null; tasks that a worker has to act on, requests at 0, the others at their date |
| `blocked` | [id] | the worker of a task that waits until the task with this id is done; such a task is not in `due` |
| `held` | [worker, instance] | null; tasks that a worker process holds |
| `keyed` | [worker, key, place, ms] | the worker process that holds it, or null; open tasks with a `key`, by place |
| `moved` | [ms] | the worker of a task whose history may tell of dates before its own |
| `by_date` | [ms] | null |
| `by_status` | [status, ms] | null |
| `by_worker` | [worker, status, ms] | null; reduced by `_count`, as CouchDB does unless told `reduce=false` |
| `workers` | [name, instance] | the state of a worker process |
| `conflicts` | [id] | the worker of a document with conflicting revisions, where it has one |

A task that waits for others is *blocked* until a worker has written that all of them are done. `keyed` has the place 0
for tasks that are held, 1 for others that are open, and none for what is blocked. A history may tell of earlier dates
where the task repeats or was tried again. CouchDB has some more views, which only its REST interface needs.

A task without a date counts as one of 1970. `total_rows` is told where it is known without counting, `offset` where
it is plain; both are told of the views `by_…` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.errors import NotFound
from after.server import counts, viewquery
from after.server.find import Find
from after.server.protocol import array, streamed
from after.server.rows import encode
from after.server.store import Store
from after.server.viewquery import ViewQuery
from after.server.viewrows import VIEWS, Found, View, cut, ending, row_of, rows


def rendered(store: Store, view: View, query: ViewQuery, found: Found) -> bytes:
    """Give a row as a view tells it."""
    row = row_of(found)
    key = found[: len(view.columns)]
    line = b'{"id":%s,"key":%s,"value":%s' % (encode(row.id), encode(key), encode(found[-6]))
    return line + ending(store, query, row)


class Views:
    """Answers `GET` and `POST /after/_design/after/_view/NAME`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._find = Find(store)

    def routes(self) -> list[BaseRoute]:
        """Give the routes of the views and of what is found by a selector."""
        return [
            Route("/after/_design/after/_view/{name}", self.view, methods=["GET", "POST"]),
            Route("/after/_find", self._find.find, methods=["POST"]),
        ]

    async def view(self, request: Request) -> Response:
        """Answer with the rows of a view, or with what its reduce gives."""
        view = VIEWS.get(request.path_params["name"])
        if view is None:
            raise NotFound("missing_named_view")
        query = await viewquery.read(request)
        if query.keys is not None and len(query.keys) == 1:
            query = query.one(query.keys[0])
        viewquery.check_range(query)
        if view.reduced and query.reduce is not False:
            viewquery.check_reduced(query)
            return await streamed(array(self._counts(view, query), self._head(query), b"\n]}\n"))
        viewquery.check_map(query)
        total = sum(self._store.tally().values()) if view.counted and query.keys is None else None
        return await streamed(array(self._lines(view, query), self._head(query, total), b"\n]}\n"))

    def _head(self, query: ViewQuery, total: int | None = None) -> bytes:
        members: dict[str, object] = {}
        if total is not None:
            members["total_rows"] = total
            if query.startkey is UNSET:
                members["offset"] = min(query.skip, total)
        if query.update_seq:
            members["update_seq"] = self._store.seq
        return encode(members)[:-1] + (b"," if members else b"") + b'"rows":['

    async def _lines(self, view: View, query: ViewQuery) -> AsyncIterator[list[bytes]]:
        async for chunk in cut(rows(self._store, view, query), query.skip, query.limit):
            yield [rendered(self._store, view, query, found) for found in chunk]

    async def _counts(self, view: View, query: ViewQuery) -> AsyncIterator[list[bytes]]:
        async for chunk in cut(counts.groups(self._store, view, query), query.skip, query.limit):
            yield [b'{"key":%s,"value":%d}' % (encode(key), count) for key, count in chunk]
