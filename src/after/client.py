"""What user code calls: putting tasks, looking at them, changing them, waiting for them.

Everything here is documents, bulk writes, views and the changes feed, so it is the same on either engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from after import cleaning, lifecycle, nexts
from after.clock import Clock, SystemClock, now
from after.database import DEFAULT_URL, Database
from after.dates import DAY, parse_elapsed, parse_instant
from after.errors import BadRequest, Conflict, NotFound, Refusal, Unreachable
from after.events import Requested
from after.given import Date, resolved
from after.history import archive_ids
from after.many import audit, editing, putting, ranges
from after.status import ENDED, Status
from after.task import Document, checked, is_task

TRIES = 10
RECONNECT_SECONDS = 0.2


class Client:
    """Schedules tasks in the database at `url`. Use it as an async context manager.

    Every method raises the `Refusal` that the engine answered with, `InvalidTask` for a wrong field, or `Unreachable`.
    """

    def __init__(self, url: str = DEFAULT_URL, *, clock: Clock | None = None, by: str = "client") -> None:
        self._clock = clock or SystemClock()
        self._database = Database(url, self._clock)
        self._by = by

    async def __aenter__(self) -> Client:
        await self._database.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._database.__aexit__(*error)

    async def schedule(
        self,
        /,
        worker: str,
        job: str,
        *arguments: Any,
        date: Date | None = None,
        keywords: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002 — the field's name
        **fields: Any,
    ) -> Document:
        """Put a task: `worker` runs `job` with these arguments at `date`, at once without one. Give it as stored.

        With an `id`, the same task again changes nothing and gives the stored one; a different one raises `Conflict`.
        `fields` are other fields of the task: `retry`, `timeout`, `expires`, `priority`, `tags`, or your own.
        """
        call: Document = {"name": job}
        if arguments:
            call["arguments"] = list(arguments)
        if keywords:
            call["keywords"] = dict(keywords)
        document = {"worker": worker, "job": call, **fields}
        if date is not None:
            document["date"] = date
        if id is not None:
            document["_id"] = id
        (stored,) = await self.schedule_many([document])
        if isinstance(stored, Refusal):
            raise stored
        return stored

    async def schedule_many(self, documents: Iterable[Mapping[str, Any]]) -> list[Document | Refusal]:
        """Put many tasks, given as documents; give for each, in order, the task as stored or why it was refused."""
        return await putting.put(self._database, documents, self._clock, self._by)

    async def get(self, id: str) -> Document:  # noqa: A002 — the field's name
        """Give a task; raise `NotFound` where there is none."""
        try:
            document = await self._database.get(id)
        except NotFound as error:
            raise NotFound(f"there is no task {id!r}: {error.reason}") from None
        if not is_task(document):
            raise NotFound(f"{id!r} is not a task")
        return document

    async def list(
        self,
        *,
        worker: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        since: Date | None = None,
        until: Date | None = None,
        limit: int | None = 100,
    ) -> list[Document]:
        """Give the tasks that fit, by date: `since` and later, before `until`; all of them where `limit` is None."""
        found: list[Document] = []
        async for document in self.each(worker=worker, status=status, tag=tag, since=since, until=until):
            if limit is not None and len(found) >= limit:
                break
            found.append(document)
        return found

    async def each(
        self,
        *,
        worker: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        since: Date | None = None,
        until: Date | None = None,
    ) -> AsyncIterator[Document]:
        """Give the tasks that fit one by one, by date, however many they are."""
        low, high = (None if date is None else parse_instant(self._date(date)) for date in (since, until))
        async for document in ranges.each(self._database, worker, status, tag, low, high):
            yield document

    async def cancel(self, id: str) -> Document:  # noqa: A002 — the field's name
        """Ask for a task to be stopped; give it as stored. Raise `Forbidden` where it has ended already."""
        return await self._request(id, Status.CANCEL, {})

    async def reschedule(self, /, id: str, date: Date | None = None, **changes: Any) -> Document:  # noqa: A002
        """Move a task that has not ended to another date, or change its job or options; give it as stored."""
        if date is not None:
            changes["date"] = self._date(date)
        return await self._request(id, Status.RESCHEDULE, changes)

    async def again(self, id: str, date: Date | None = None) -> Document:  # noqa: A002
        """Run a task once more, at `date` or at once; give it as stored."""
        return await self._request(
            id, Status.SCHEDULE, {"date": self._date(date if date is not None else timedelta(0))}
        )

    async def edit(
        self,
        action: str,
        *,
        worker: str | None = None,
        status: str | Sequence[str] | None = None,
        tag: str | None = None,
        since: Date | None = None,
        until: Date | None = None,
        ids: Iterable[str] | None = None,
        all: bool = False,  # noqa: A002 - as over HTTP
        by: str | timedelta | None = None,
        date: Date | None = None,
        changes: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        limit: int | None = None,
    ) -> Document:
        """Cancel, reschedule or run again all tasks that fit, as `POST /tasks/_edit` does, and answer as it does.

        `action` is `cancel`, `reschedule` or `again`. Without `limit` there is no limit to how many, and the answer's
        `cursor` is always None. Where the engine goes away meanwhile, `Unreachable` says how many were changed.
        """
        chosen = {
            "worker": worker, "status": status if isinstance(status, str | None) else [*status], "tag": tag,
            "from": None if since is None else self._date(since), "to": None if until is None else self._date(until),
            "all": all,
        }  # fmt: skip
        to = None if date is None else self._date(date)
        asked = {
            "action": action, "filter": chosen, "by": editing.shift(by), "date": to,
            "changes": None if changes is None else dict(changes), "dry_run": dry_run,
        }  # fmt: skip
        known = None if ids is None else [*ids]
        return await editing.edit(self._database, asked, known, limit, self._clock, self._by)

    async def next(self, repeat: Any, since: Date | None = None, count: int = 10) -> Sequence[str]:
        """Give the next instants of a `repeat`, nothing stored: those at `since`, the task's date, or later.

        Nobody is asked: they are computed here.
        """
        start = now(self._clock) if since is None else parse_instant(self._date(since))
        return nexts.told(nexts.occurrences(nexts.read(repeat), start, count))["next"]

    async def audit(
        self,
        *,
        worker: str | None = None,
        tag: str | None = None,
        since: Date | None = None,
        until: Date | None = None,
        tolerance: str = "PT1S",
    ) -> Sequence[Document]:
        """Give what was due, `since` and later, before `until`, and what became of it, by date.

        Without dates these are the last 24 hours. What starts more than `tolerance` after its date is late.
        """
        instant = now(self._clock)
        high = instant if until is None else parse_instant(self._date(until))
        low = high - DAY if since is None else parse_instant(self._date(since))
        if low >= high:
            raise BadRequest("until: has to be later than since")
        late = checked("tolerance", parse_elapsed, tolerance)
        found = [
            row async for row in audit.rows(self._database, low, high, instant, worker=worker, tag=tag, tolerance=late)
        ]
        return [msgspec.to_builtins(row) for row in sorted(found, key=lambda row: row.date)]

    async def delete(self, id: str) -> None:  # noqa: A002
        """Remove a task, whatever its status, with its history."""
        document = await self.get(id)
        if not await cleaning.remove(self._database, [document]):
            raise Conflict(f"the task {id!r} has changed meanwhile")

    async def history(self, id: str) -> Sequence[Document]:  # noqa: A002
        """Give all entries of a task's history, the oldest first, those in archives among them."""
        task = await self.get(id)
        archives = await self._database.get_many(archive_ids(task))
        parts = [archives[one]["history"] for one in archive_ids(task) if one in archives]
        return [entry for part in parts for entry in part] + (task.get("history") or [])

    async def wait(self, id: str, timeout: float | None = None) -> Document:  # noqa: A002, ASYNC109
        """Wait until a task has ended and give it; raise `TimeoutError` when it has not in so many seconds.

        An engine that goes away meanwhile is waited for too; one that is away at the beginning raises `Unreachable`.
        """
        async with asyncio.timeout(timeout):
            since = (await self._database.info())["update_seq"]
            document = await self.get(id)
            while document.get("status") not in ENDED:
                try:
                    document = await self._next(id, since)
                except Unreachable:
                    await asyncio.sleep(RECONNECT_SECONDS)
            return document

    async def _next(self, id: str, since: object) -> Document:  # noqa: A002
        """Give a task as it is when it has ended, or when the feed ends."""
        document = {}
        async for changes in self._database.changes(since=since, selector={"_id": id}):
            for change in changes:
                if change.deleted or change.doc is None:
                    raise NotFound(f"{id!r} was deleted")
                document = change.doc
            if document.get("status") in ENDED:
                break
        return document

    async def changes(
        self, *, worker: str | None = None, status: str | None = None, since: object = "now"
    ) -> AsyncIterator[Document]:
        """Give every task that changes, as it is then, from now on or from a position of the feed."""
        selector: Document = {"worker": worker if worker is not None else {"$exists": True}, "job": {"$exists": True}}
        if status is not None:
            selector["status"] = status
        async for changes in self._database.changes(since=since, selector=selector):
            for change in changes:
                if change.doc is not None:
                    yield change.doc

    async def _request(self, id: str, status: Status, changes: Document) -> Document:  # noqa: A002
        changed: Document = {}
        if changes.get("after"):
            await putting.check_circle(self._database, id, changes["after"])
        for _ in range(TRIES):
            document = await self.get(id)
            if changed and changed["history"][-1] in (document.get("history") or ()):
                return document  # ours was taken and its answer lost; a worker has gone on from it
            event = Requested(status, changes, self._by)
            changed = lifecycle.apply(document, event, now(self._clock))
            try:
                return {**changed, "_rev": await self._database.put(changed)}
            except Conflict:
                continue  # a worker was faster: decide anew, on what it wrote
        raise Conflict(f"the task {id!r} changes too fast")

    def _date(self, date: Any) -> str:
        return resolved(date, now(self._clock))
