"""Finding tasks: the changes feed for what is asked now, the view `due` for what was asked before.

The feed is followed from a position noted before the first scan, so that nothing falls between the two; the scan is
repeated, so that nothing the feed missed stays unseen for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from after.clock import Clock, now
from after.database import Change, Database
from after.errors import AfterError
from after.status import REQUESTS
from after.task import Document

logger = logging.getLogger(__name__)

HORIZON = 10_000
"""How many ms ahead of its date a task is claimed."""
SCAN_SECONDS = 2.0
PAGE = 250
HEARTBEAT = 5.0
MAX_BACKOFF = 5.0


class Finder:
    """Offers every task that a worker may have to do something about, some of them more than once.

    `offer` gets documents, `deleted` the ids of documents that are gone; `full` says that no more can be taken in now.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        name: str,
        *,
        offer: Callable[[Document], None],
        deleted: Callable[[str], None],
        full: Callable[[], bool],
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._offer, self._deleted, self._full = offer, deleted, full
        self._resume: dict[str, object] = {}
        self._wanted = asyncio.Event()
        self.unfinished = False
        """Whether tasks that are due were left in the database for want of room."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, since: Any) -> None:
        """Begin to follow the feed from the position `since`, and to scan."""
        self._tasks = [
            asyncio.create_task(self._follow(since), name="feed"),
            asyncio.create_task(self._scan_always(), name="scan"),
        ]

    async def stop(self) -> None:
        """End both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self) -> None:
        """Scan again now: there is room for what was left in the database."""
        self._wanted.set()

    async def _follow(self, since: Any) -> None:
        backoff = 0.05
        while True:
            try:
                async for changes in self._database.changes(
                    since=since, selector=selector(self._name), heartbeat=HEARTBEAT
                ):
                    backoff = 0.05
                    for change in changes:
                        self._hear(change)
                        since = change.seq
                    await asyncio.sleep(0)
            except AfterError as error:
                logger.warning("the feed is cut off: %s; following on in %.2g s", error, backoff)
            except Exception:
                logger.exception("a change could not be worked on")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF)

    def _hear(self, change: Change) -> None:
        if change.deleted:
            self._deleted(change.id)
        elif change.doc is not None:
            self._offer(change.doc)

    async def _scan_always(self) -> None:
        while True:
            self._wanted.clear()
            try:
                await self._scan()
            except AfterError as error:
                logger.warning("looking for due tasks failed: %s", error)
            except Exception:
                logger.exception("a due task could not be worked on")
            try:
                async with asyncio.timeout(SCAN_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _scan(self) -> None:
        """Read what is due up to the horizon, the oldest first, page by page, as long as there is room.

        The next scan goes on where want of room ended this one; from the start again after one that came to the end.
        """
        horizon = now(self._clock) + HORIZON
        self.unfinished = False
        start = self._resume or {"startkey": [self._name]}
        self._resume = {}
        while not self._full():
            rows = await self._database.view(
                "due", **start, endkey=[self._name, horizon], limit=PAGE, include_docs=True
            )
            for row in rows:
                if row.doc is not None:
                    self._offer(row.doc)
            if len(rows) < PAGE:
                return
            start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id}
            await asyncio.sleep(0)
        self.unfinished = True
        self._resume = start


def selector(name: str) -> Document:
    """Give the selector of the changes that a worker has to hear of.

    Besides requests these are tasks that a client ended while they were held, which still have their claim; what was
    deleted, which a selector must name to see; and the document that controls the worker.
    """
    return {
        "$or": [
            {"worker": name, "status": {"$in": sorted(REQUESTS)}},
            {"worker": name, "status": {"$in": ["done", "err"]}, "claim": {"$exists": True}},
            {"_id": f"worker:{name}"},
            {"_deleted": True},
        ]
    }
