"""Giving back to the disk what was deleted, while everything else goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress

from after.errors import Unavailable
from after.server.writer import Writer

logger = logging.getLogger(__name__)

PAGES = 500
"""How many free pages one step gives back. Other writes come between two steps: a worker whose heartbeat had to wait
until a large file is compacted would count as lost."""


class Compaction:
    """Compacts the database of a writer, once at a time. It may be stopped twice."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin, unless it goes on already."""
        if not self.running:
            self._task = asyncio.create_task(self._compact(), name="compaction")

    async def stop(self) -> None:
        """Stop after the step that is under way; what is left is as good as before."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _compact(self) -> None:
        with suppress(Unavailable):  # the writer has logged it
            await self._writer.run(_convert, bare=True)
            while await self._writer.run(_step):
                continue
            await self._writer.run(_truncate, bare=True)
            logger.info("the database is compacted")


def _convert(connection: sqlite3.Connection) -> None:
    """Make a file of an earlier After one that can be compacted in steps: once, and nothing is written meanwhile."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")


def _step(connection: sqlite3.Connection) -> int:
    """Give back some of the free pages; tell how many are left."""
    connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()  # each page is a row, so all have to be read
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(left)


def _truncate(connection: sqlite3.Connection) -> None:
    """Copy the log into the database, and empty it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
