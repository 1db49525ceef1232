"""Looking at workers, pausing and stopping them, tidying up after them: through documents, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from after.clock import Clock, SystemClock, now
from after.database import Database
from after.dates import format_instant
from after.errors import Conflict, NotFound, Refusal
from after.roster import PREFIX, is_alive, roster
from after.task import Document

TRIES = 10
PAGE = 500
CONTROL_END = "\U0010ffff"


class Control:
    """Controls the workers of an open database."""

    def __init__(self, database: Database, clock: Clock | None = None, by: str = "client") -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._by = by

    async def workers(self) -> list[Document]:
        """Give all workers, each with its processes and the counts of its tasks, as `GET /tasks/workers` does."""
        rows = await self._database.all(startkey=PREFIX, endkey=PREFIX + CONTROL_END, include_docs=True)
        counted = await self._database.view("by_worker", group_level=2)
        counts = {(row.key[0], row.key[1]): row.value for row in counted}
        return roster([row.doc for row in rows if row.doc is not None], counts, now(self._clock))

    async def worker(self, name: str) -> Document:
        """Give one worker; raise `NotFound` where nothing is known of it."""
        for worker in await self.workers():
            if worker["name"] == name:
                return worker
        raise NotFound(f"there is no worker {name!r}, and no task for one of this name")

    async def pause(self, name: str, note: str | None = None) -> None:
        """Let a worker start nothing more until it is resumed; everyone sees the note."""
        await self._write(name, {"paused": True, "note": note})

    async def resume(self, name: str) -> None:
        """Let a paused worker go on."""
        await self._write(name, {"paused": False, "note": None})

    async def stop(self, name: str) -> None:
        """Ask all processes of a worker that run now to stop."""
        await self._write(name, {"stop": format_instant(now(self._clock))})

    async def forget_dead(self, name: str) -> int:
        """Remove the documents of processes that have stopped or are lost; give how many."""
        rows = await self._database.view("workers", startkey=[name], endkey=[name, {}], include_docs=True)
        dead = [row.doc for row in rows if row.doc is not None and not is_alive(row.doc, now(self._clock))]
        return await self.remove(dead)

    async def ended(self, name: str, statuses: Iterable[str], before: int) -> AsyncIterator[list[Document]]:
        """Give the tasks of a worker in these statuses whose date is before an instant, page by page."""
        for status in statuses:
            start: dict[str, object] = {"startkey": [name, status]}
            while True:
                rows = await self._database.view(
                    "by_worker", **start, endkey=[name, status, before], inclusive_end=False,
                    limit=PAGE, include_docs=True, reduce=False,
                )  # fmt: skip
                if rows:
                    yield [row.doc for row in rows if row.doc is not None]
                if len(rows) < PAGE:
                    break
                start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id, "skip": 1}

    async def remove(self, documents: Iterable[Document]) -> int:
        """Delete documents in one write; give how many were. Those that changed meanwhile stay."""
        gone = [{"_id": document["_id"], "_rev": document["_rev"], "_deleted": True} for document in documents]
        answers = await self._database.write(gone) if gone else []
        return sum(not isinstance(answer, Refusal) for answer in answers)

    async def _write(self, name: str, changes: Document) -> None:
        identity = PREFIX + name
        at = format_instant(now(self._clock))
        for _ in range(TRIES):
            try:
                known = await self._database.get(identity)
            except NotFound:
                known = {"_id": identity, "type": "control", "name": name, "paused": False}
            try:
                await self._database.put({**known, **changes, "by": self._by, "at": at})
            except Conflict:
                continue
            return
        raise Conflict(f"the document {identity} changes too fast")
