"""The reduce `_count` of a view: how many tasks each group of keys has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from msgspec import UNSET

from after.server.keyrange import Bound, place
from after.server.store import Store
from after.server.viewquery import ViewQuery
from after.server.viewrows import View, statements

Group = tuple[list[Any] | None, int]
"""A key, cut to the level of the groups, and how many rows it has."""

TALLIED = 2
"""The columns that the tally counts by: worker and status."""


async def groups(store: Store, view: View, query: ViewQuery) -> AsyncIterator[list[Group]]:
    """Count the rows between the bounds of a query, or with each of its keys, by the first elements of their key.

    Without groups there is one, with the key null, also where there is nothing to count.
    """
    level = len(view.columns) if query.group else query.group_level or 0
    parts = [query] if query.keys is None else [query.one(key) for key in query.keys]
    for part in parts:
        async for chunk in _folded(_counted(store, view, part, level), level):
            yield chunk


async def _counted(store: Store, view: View, query: ViewQuery, level: int) -> AsyncIterator[list[tuple[Any, ...]]]:
    bounds = [place(key, view.kinds) if key is not UNSET else None for key in (query.startkey, query.endkey)]
    if level <= TALLIED and all(bound is None or _is_coarse(bound) for bound in bounds):
        yield _from_tally(store, query, *bounds)
        return
    statement = statements(view, query, "count(*)", view.columns, f"GROUP BY {', '.join(view.columns)}")
    if statement is not None:
        async for chunk in store.chunks(statement):
            yield chunk


def _is_coarse(bound: Bound) -> bool:
    """Tell whether worker and status are enough to say on which side of a bound a task is."""
    return bound.side != 0 and len(bound.values) <= TALLIED


def _from_tally(store: Store, query: ViewQuery, start: Bound | None, end: Bound | None) -> list[tuple[Any, ...]]:
    if query.descending:
        start, end = end, start
    return [
        (*key, count)
        for key, count in sorted(store.tally().items(), reverse=query.descending)
        if (start is None or start.compares(key) > 0) and (end is None or end.compares(key) < 0)
    ]


async def _folded(chunks: AsyncIterator[list[tuple[Any, ...]]], level: int) -> AsyncIterator[list[Group]]:
    """Add up what has the same first elements, which comes together."""
    key: tuple[Any, ...] | None = None if level else ()
    count = 0
    async for chunk in chunks:
        folded: list[Group] = []
        for row in chunk:
            if row[:-1][:level] != key:
                if key is not None:
                    folded.append((list(key), count))
                key, count = row[:-1][:level], 0
            count += row[-1]
        yield folded
    if key is not None:
        yield [(list(key) or None, count)]
