"""Waiting for the indexes of a design document's views, on every copy of every shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from after.clock import Clock
from after.design.admin import Server
from after.errors import AfterError

Tell = Callable[[int, int], None]
"""Is told how many of how many changes the indexes know."""
LOOK = 0.25
"""Seconds between two looks at how far the indexes are."""
SURE = 4
"""Looks, one after the other, that must find the indexes ready: CouchDB answers each for one copy of each shard only,
whichever is the first to answer."""
STALLED = 300.0
"""Seconds without any progress after which indexes count as broken."""
COMMIT = 15.0
"""Seconds to wait until ready indexes are on the disk: CouchDB commits them each 5 s, and one that is opened under
another name before that is built once more from its last commit. Where tasks are written all the time there is always
something that waits, but never much after so long."""
BEHIND = 100
"""Changes that ready indexes may be behind, since tasks are written meanwhile: the next query makes up for them within
milliseconds."""


class Progress(NamedTuple):
    """How far indexes are: how many changes they do not know yet, and whether they are on the disk."""

    pending: int
    committed: bool


async def build(server: Server, design: str, tell: Tell, clock: Clock, *, commit: bool) -> None:
    """Have the indexes of the design document at this path built, and wait for them.

    All views of a design document are one index. A query that does not wait begins it on the copies that it meets;
    CouchDB's own background indexer may do so too. With `commit` wait also until they are on the disk. Raise
    `AfterError` where nothing goes on.
    """
    view = next(name for name in (await server.get(design))["views"] if name != "lib")
    first = least = (await progress(server, design)).pending
    moved, ready, sure = clock.monotonic(), None, 0
    while True:
        await server.get(f"{design}/_view/{view}", limit="0", update="lazy")
        now, at = await progress(server, design), clock.monotonic()
        if now.pending < least:
            least, moved = now.pending, at
        tell(max(first - least, 0), first)
        if now.pending > BEHIND:
            ready, sure = None, 0
            if at - moved > STALLED:
                raise AfterError(_stalled(now.pending))
        else:
            ready = at if ready is None else ready
            sure += not commit or now.committed or at - ready > COMMIT
            if sure >= SURE:
                break
        await asyncio.sleep(LOOK)
    await server.get(f"{design}/_view/{view}", limit="0")


def _stalled(pending: int) -> str:
    return (
        f"the indexes have not grown for {STALLED:.0f} s, {pending} changes are missing; CouchDB's log may say why. "
        "What is installed is as it was; the command goes on from here when it is run again"
    )


async def progress(server: Server, design: str) -> Progress:
    """Look how far the indexes are."""
    info = (await server.get(f"{design}/_info"))["view_index"]
    document = f"_design/{design.rpartition('/')[2]}"
    at_work = [
        task["total_changes"] - task["changes_done"]
        for task in await server.get("_active_tasks")
        if task.get("design_document") == document and _database(task) == server.database
    ]
    return Progress(max(info["updates_pending"]["total"], sum(at_work)), not info["waiting_commit"])


def _database(task: dict[str, Any]) -> str:
    """Give the database of an indexer's shard, `shards/80000000-ffffffff/NAME.1795617401`."""
    return str(task.get("database")).split("/", 2)[-1].rpartition(".")[0]
