"""What was due between two instants and what became of it, read from a database behind a URL, of either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

from after.audit import TOLERANCE, Row, audit, has_moved, needs_older
from after.database import Database
from after.history import archive_ids, entries
from after.many.ranges import each, fits, pages, views
from after.status import ENDED, Status
from after.task import Document

BATCH = 200


async def rows(
    database: Database,
    low: int,
    high: int,
    now: int,
    *,
    worker: str | None = None,
    tag: str | None = None,
    tolerance: int = TOLERANCE,
) -> AsyncIterator[Row]:
    """Give what was due at the instant `low` or later and before `high`: task by task, the rows of each by date."""
    seen: set[str] = set()
    async for task in _tasks(database, low, high, worker, tag):
        if task["_id"] in seen:
            continue
        if has_moved(task):  # it may be in another part of the tasks by the time that is read
            seen.add(task["_id"])
        for row in audit(await _whole(database, task, low), low, high, now, tolerance):
            yield row


async def _tasks(
    database: Database, low: int, high: int, worker: str | None, tag: str | None
) -> AsyncIterator[Document]:
    """Give the tasks due in that time; those that are due later by now; open ones that were due before and repeat."""
    async for task in each(database, worker, None, tag, low, high):
        yield task
    async for row in pages(database, "moved", [], high, None):
        if row.doc is not None and fits(row.doc, worker, None, tag):
            yield row.doc
    overdue = await _overdue(database, low, worker)
    for start in range(0, len(overdue), BATCH):
        found = await database.get_many(overdue[start : start + BATCH])
        for task in found.values():
            if fits(task, worker, None, tag):
                yield task


async def _overdue(database: Database, low: int, worker: str | None) -> list[str]:
    """Give the ids of tasks that are not done, whose date was before an instant, and that were due after it again."""
    moved = {row.id async for row in pages(database, "moved", [], None, low, include_docs=False)}
    if not moved:
        return []
    found: list[str] = []
    for status in Status:
        for view, prefix in views(worker, status) if status not in ENDED else ():
            found += [row.id async for row in pages(database, view, prefix, None, low, include_docs=False)]
    return [identity for identity in dict.fromkeys(found) if identity in moved]


async def _whole(database: Database, task: Document, low: int) -> Document:
    """Give a task with as much of its history as tells of what was due at `low` or later."""
    known, older = entries(task), archive_ids(task)
    while older and needs_older(known, low):
        identity = older.pop()
        archive = (await database.get_many([identity])).get(identity)
        known = [*(entries(archive) if archive is not None else ()), *known]
    return {**task, "history": known}
