"""Looking at workers, pausing and stopping them, forgetting dead ones: through documents, on either engine."""

from __future__ import annotations

from after.clock import Clock, SystemClock, now
from after.database import Database
from after.dates import MINUTE, format_instant, parse_instant
from after.errors import Conflict, NotFound
from after.roster import PREFIX, roster
from after.status import ENDED, Status
from after.task import Document

TRIES = 10
FORGOTTEN = 5 * MINUTE
"""After so long without a heartbeat a process is gone, whatever its document says, and however our clock is set."""
HIGHEST = "\U0010ffff"
"""A character that no other comes after: the end of a range of ids."""


class Control:
    """Controls the workers of an open database."""

    def __init__(self, database: Database, clock: Clock | None = None, by: str = "client") -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._by = by

    async def workers(self) -> list[Document]:
        """Give all workers, each with its processes and the counts of its tasks, as `GET /tasks/workers` does."""
        rows = await self._database.all(startkey=PREFIX, endkey=PREFIX + HIGHEST, include_docs=True)
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
        """Let a worker start nothing more until it is resumed; everyone sees the note. May raise `NotFound`."""
        await self.worker(name)
        await self._write(name, {"paused": True, "note": note})

    async def resume(self, name: str) -> None:
        """Let a paused worker go on; raise `NotFound` where nothing is known of it."""
        await self.worker(name)
        await self._write(name, {"paused": False, "note": None})

    async def stop(self, name: str) -> None:
        """Ask all processes of a worker that run now to stop."""
        instances = await self._instances(name)
        # Those that have started before this instant stop, also where their clock is ahead of ours.
        started = [one["started"] for one in instances if one.get("state") != "stopped" and "started" in one]
        await self._write(name, {"stop": max([format_instant(now(self._clock)), *started])})

    async def forget_dead(self, name: str) -> int:
        """Remove the documents of processes that have stopped or are lost; give how many."""
        before = now(self._clock) - FORGOTTEN
        dead = [one for one in await self._instances(name) if _is_dead(one, before)]
        return len(await self._database.remove({one["_id"]: one["_rev"] for one in dead}))

    async def latest(self, name: str, limit: int) -> list[Document]:
        """Give those of a worker's tasks whose history is the newest, by that; near their date, if they have not ended.

        Otherwise all that is put for next year would be newer than what happened today.
        """
        found: dict[str, Document] = {}
        instant = now(self._clock)
        for status in Status:
            ranges: list[dict[str, object]] = [
                {"startkey": [name, status, {} if status in ENDED else instant], "endkey": [name, status],
                 "descending": True},
            ]  # fmt: skip
            if status not in ENDED:
                ranges.append({"startkey": [name, status, instant], "endkey": [name, status, {}]})
            for one in ranges:
                rows = await self._database.view("by_worker", **one, limit=limit, include_docs=True, reduce=False)
                found |= {row.id: row.doc for row in rows if row.doc is not None}
        tasks = sorted(found.values(), key=lambda task: (_last(task), task["_id"]))
        return tasks[-limit:] if limit else []

    async def _instances(self, name: str) -> list[Document]:
        rows = await self._database.view("workers", startkey=[name], endkey=[name, {}], include_docs=True)
        return [row.doc for row in rows if row.doc is not None]

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


def _last(task: Document) -> str:
    history = task.get("history")
    return str(history[-1]["at"]) if history else ""


def _is_dead(instance: Document, before: int) -> bool:
    if instance.get("state") in ("stopped", "lost"):
        return True
    try:
        return parse_instant(instance["heartbeat"]) < before
    except (KeyError, ValueError):
        return True
