"""Putting the embedded engine together: the store, the feed, the two interfaces, and the server that speaks HTTP."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware

from after.clock import Clock, SystemClock
from after.server.changes import Changes
from after.server.documents import Documents
from after.server.feed import Feed
from after.server.http import HANDLERS, LoopbackOnly
from after.server.metrics import Metrics
from after.server.root import Root
from after.server.rows import Change, Row
from after.server.store import Store
from after.server.tasks import Tasks
from after.server.views import Views

DATABASE = "after"


class Engine:
    """The parts of an embedded engine. `app` is an ASGI application, to be served while `store` is open.

    `path` is the SQLite file, None for a database that goes with the process.
    """

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.changes = Changes(self._read)
        self.store = Store(path, self.changes.publish)
        self.feed = Feed(self.store, self.changes)
        parts = (
            Tasks(self.store, self.feed, clock),
            Documents(self.store, DATABASE),
            self.feed,
            Views(self.store),
            Metrics(self.store, self.changes, clock),
            Root(self.store),
        )
        self.app = Starlette(
            routes=[route for part in parts for route in part.routes()],
            middleware=[Middleware(LoopbackOnly)],
            exception_handlers=HANDLERS,
        )

    def _read(self, since: int, limit: int) -> list[Change]:
        rows = self.store.select(
            "SELECT id, rev, seq, deleted, body FROM document WHERE seq > ? ORDER BY seq LIMIT ?", (since, limit)
        )
        return [Change(row, row.document()) for row in (Row(*found) for found in rows)]
