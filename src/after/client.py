"""What user code calls: putting tasks, looking at them, changing them, waiting for them.

Everything here is documents, bulk writes, views and the changes feed, so it is the same on either engine.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from after import lifecycle
from after.clock import Clock, SystemClock, now
from after.conflicts import precedence
from after.database import DEFAULT_URL, Database
from after.database.database import ViewRow, Written
from after.dates import format_instant, parse_elapsed, parse_instant
from after.errors import Conflict, InvalidTask, NotFound, Refusal, Unreachable
from after.events import Requested
from after.idempotence import difference
from after.status import ENDED, Status
from after.task import Document, check_id, checked, is_task

Date = str | datetime | timedelta
"""An instant as ISO 8601 or a datetime (UTC without a zone), or a time from now as ISO 8601 or a timedelta."""

TRIES = 10
RECONNECT_SECONDS = 0.2
BULK = 1_000


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
        given = list(documents)
        made = [self._made(document) for document in given]
        tasks = [task for task in made if not isinstance(task, Refusal)]
        answers: list[Written | Refusal] = []
        for start in range(0, len(tasks), BULK):
            answers += await self._database.write(tasks[start : start + BULK])
        answered = iter(zip(tasks, answers, strict=True))
        return [
            task if isinstance(task, Refusal) else await self._stored(document, *next(answered))
            for document, task in zip(given, made, strict=True)
        ]

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
        low = None if since is None else parse_instant(self._date(since))
        high: object = {} if until is None else parse_instant(self._date(until))
        async for document in merged([self._range(view, prefix, low, high) for view, prefix in views(worker, status)]):
            if _fits(document, worker, status, tag):
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

    async def delete(self, id: str) -> None:  # noqa: A002
        """Remove a task, whatever its status, with its history."""
        document = await self.get(id)
        await self._database.put({"_id": id, "_rev": document["_rev"], "_deleted": True})

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

    def _made(self, document: Mapping[str, Any]) -> Document | Refusal:
        identity = document.get("_id")
        try:
            given = {field: value for field, value in document.items() if field != "_id"}
            if given.get("date") is not None:
                given["date"] = self._date(given["date"])
            identity = str(uuid7()) if identity is None else check_id(identity)
            return {"_id": identity, **lifecycle.create(given, now(self._clock), self._by)}
        except Refusal as error:
            return error

    async def _stored(self, given: Mapping[str, Any], task: Document, answer: Written | Refusal) -> Document | Refusal:
        if isinstance(answer, Written):
            return {**task, "_rev": answer.rev}
        if not isinstance(answer, Conflict):
            return answer
        stored = await self._database.get(task["_id"])
        field = difference(task, stored, task["date"] if is_instant(given.get("date")) else None)
        if field is not None:
            return Conflict(f"the task {task['_id']!r} exists and differs in {field!r}")
        return stored

    async def _request(self, id: str, status: Status, changes: Document) -> Document:  # noqa: A002
        changed: Document = {}
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

    async def _range(self, view: str, prefix: Sequence[str], low: object, high: object) -> AsyncIterator[ViewRow]:
        async for page in self._database.pages(
            view, startkey=[*prefix, low], endkey=[*prefix, high], inclusive_end=isinstance(high, dict),
            size=200, include_docs=True, reduce=False,
        ):  # fmt: skip
            for row in page:
                yield row

    def _date(self, date: Any) -> str:
        if isinstance(date, str) and date.startswith("P"):
            date = timedelta(milliseconds=checked("date", parse_elapsed, date))
        if isinstance(date, timedelta):
            return format_instant(now(self._clock) + round(date.total_seconds() * 1000))
        if isinstance(date, datetime):
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).isoformat()
        if not isinstance(date, str):
            raise InvalidTask("date", f"expected `string`, got {type(date).__name__}")
        checked("date", parse_instant, date)
        return date


def is_instant(date: object) -> bool:
    """Tell whether a date was given as an instant: one relative to now is another each time it is resolved."""
    return isinstance(date, datetime) or (isinstance(date, str) and not date.startswith("P"))


def views(worker: str | None, status: str | None) -> list[tuple[str, list[str]]]:
    """Give the views, with the beginnings of their keys, that together hold the tasks that fit, each by date."""
    if worker is not None:
        return [("by_worker", [worker, one]) for one in ([status] if status else sorted(Status))]
    return [("by_status", [status])] if status else [("by_date", [])]


def _fits(document: Document, worker: str | None, status: str | None, tag: str | None) -> bool:
    """Tell whether a task is what was asked for: a row may be older than the document that comes with it."""
    return (
        (worker is None or document.get("worker") == worker)
        and (status is None or (document.get("status") or Status.WAITING) == status)
        and (tag is None or tag in (document.get("tags") or ()))
    )


async def merged(ranges: list[AsyncIterator[ViewRow]]) -> AsyncIterator[Document]:
    """Merge rows whose keys end with a date into one order by date and id, reading no further than needed.

    A task that changes its status while the ranges are read may be in two of them; it is given once, as it is by then.
    """
    heads: list[tuple[int, str, int, Document]] = []
    for place, rows in enumerate(ranges):
        await _advance(heads, rows, place)
    while heads:
        date, identity, place, document = heapq.heappop(heads)
        await _advance(heads, ranges[place], place)
        if heads and heads[0][:2] == (date, identity):
            newer = max(document, heads[0][3], key=lambda one: precedence(one["_rev"]))
            heads[0] = (date, identity, heads[0][2], newer)
        else:
            yield document


async def _advance(heads: list[tuple[int, str, int, Document]], rows: AsyncIterator[ViewRow], place: int) -> None:
    async for row in rows:
        if row.doc is not None:  # a view that lags has rows of what is deleted by now
            heapq.heappush(heads, (row.key[-1], row.id, place, row.doc))
            return
