"""Removing tasks that have ended, with the archives of their history: through documents, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from after.database import Database
from after.errors import NotFound
from after.history import ARCHIVED, PREFIX, archive_id
from after.task import Document

PAGE = 200
MANY = 1000
"""How many archives, of which nothing but the id and the revision is read, are removed in one go."""
HIGHEST = "\U0010ffff"
"""A character that no other comes after: the end of a range of ids."""


class Cleaned(NamedTuple):
    """How many tasks are removed so far, and how many that could have been are kept since another task needs them."""

    removed: int = 0
    kept: int = 0


async def clean_tasks(
    database: Database, worker: str, statuses: Iterable[str], before: int, limit: int | None = None
) -> AsyncIterator[Cleaned]:
    """Remove a worker's tasks in these statuses whose date is before an instant, at most `limit`, page by page.

    What changes meanwhile, or is waited for by a task that has not ended, stays. Whoever stops in the middle has done
    nothing by halves but archives without their task, which `remove_orphans` finds.
    """
    done = Cleaned()
    for status in statuses:
        async for page in database.pages(
            "by_worker", startkey=[worker, status], endkey=[worker, status, before], inclusive_end=False,
            size=PAGE, include_docs=True, reduce=False,
        ):  # fmt: skip
            tasks = [row.doc for row in page if row.doc is not None]
            needed = await _needed(database, [task["_id"] for task in tasks])
            free = [task for task in tasks if task["_id"] not in needed]
            if limit is not None:
                free = free[: limit - done.removed]
            done = Cleaned(done.removed + await remove(database, free), done.kept + len(needed))
            yield done
            if limit is not None and done.removed >= limit:
                return


async def _needed(database: Database, identities: list[str]) -> set[str]:
    """Give those of the tasks that another waits for."""
    try:
        rows = await database.view_keys("blocked", [[identity] for identity in identities])
    except NotFound:
        return set()  # a design document from before tasks could wait for others: none of them does
    return {row.key[0] for row in rows}


async def remove(database: Database, tasks: Sequence[Document]) -> int:
    """Remove tasks, and then the archives of those that are gone by that; give how many."""
    removed = set(await database.remove({task["_id"]: task["_rev"] for task in tasks}))
    archived = {task["_id"]: _archives(task) for task in tasks if task["_id"] in removed and _archives(task)}
    alive = await _alive(database, list(archived))  # where there was a conflict, another leaf has taken the place
    archives = [one for identity, ids in archived.items() if identity not in alive for one in ids]
    for start in range(0, len(archives), MANY):
        await database.remove(await database.revs(archives[start : start + MANY]))
    return len(removed)


def _archives(task: Document) -> list[str]:
    """Give the ids of the archives that a task may have: one more than it knows of, since that is written before."""
    archived, history = task.get("archived"), task.get("history")
    known = archived // ARCHIVED if isinstance(archived, int) else 0
    if not known and (not isinstance(history, list) or len(history) < ARCHIVED):
        return []
    return [archive_id(task["_id"], number) for number in range(known + 1)]


async def remove_orphans(database: Database) -> int:
    """Remove the archives of tasks that are gone; give how many. It reads no documents but what it suspects."""
    count = 0
    async for page in database.revs_from(PREFIX, PREFIX + HIGHEST, MANY):
        owners = {one: one.removeprefix(PREFIX).rpartition(":")[0] for one in page}
        known = await database.revs(sorted(set(owners.values()) - {""}))
        suspects = sorted(set(owners.values()) - known.keys() - {""})
        gone = set(suspects) - await _alive(database, suspects)
        count += len(await database.remove({one: rev for one, rev in page.items() if owners[one] in gone}))
    return count


async def _alive(database: Database, identities: list[str]) -> set[str]:
    """Give those of the documents that exist: a node may list less than there is, but a read asks most nodes."""
    return {identity for identity, leaves in (await database.leaves(identities)).items() if leaves}
