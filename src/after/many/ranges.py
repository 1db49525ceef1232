"""Reading the tasks that fit, by date, from the views of either engine."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence

from after.conflicts import precedence
from after.database import Database
from after.database.answers import ViewRow
from after.status import Status
from after.task import Document

PAGE = 200
FLOW = (
    Status.CANCEL, Status.SCHEDULE, Status.RESCHEDULE, Status.WAITING, Status.SCHEDULED, Status.RUNNING,
    Status.DONE, Status.ERR, Status.CANCELED,
)  # fmt: skip
"""Statuses in the order in which a task usually has them. Who reads one after another in this order may meet a task
twice that moves on meanwhile, but does not miss it."""


async def each(
    database: Database, worker: str | None, status: str | None, tag: str | None, low: int | None, high: int | None
) -> AsyncIterator[Document]:
    """Give the tasks that fit one by one, by date: of the instant `low` or later, before `high`."""
    ranges = [pages(database, view, prefix, low, high) for view, prefix in views(worker, status)]
    async for document in merged(ranges):
        if fits(document, worker, status, tag):
            yield document


async def pages(
    database: Database,
    view: str,
    prefix: Sequence[str],
    low: int | None,
    high: int | None,
    *,
    include_docs: bool = True,
) -> AsyncIterator[ViewRow]:
    """Give the rows of a view whose keys begin so, of the instant `low` or later, before `high`."""
    end: object = {} if high is None else high
    async for page in database.pages(
        view, startkey=[*prefix, low], endkey=[*prefix, end], inclusive_end=high is None,
        size=PAGE if include_docs else 5 * PAGE, include_docs=include_docs, reduce=False,
    ):  # fmt: skip
        for row in page:
            yield row


def views(worker: str | None, status: str | None) -> list[tuple[str, list[str]]]:
    """Give the views, with the beginnings of their keys, that together hold the tasks that fit, each by date."""
    if worker is not None:
        return [("by_worker", [worker, one]) for one in ([status] if status else FLOW)]
    return [("by_status", [status])] if status else [("by_date", [])]


def fits(document: Document, worker: str | None, status: str | None, tag: str | None) -> bool:
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
