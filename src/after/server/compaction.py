"""Giving back to the disk what was deleted, while everything else goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress
from functools import partial

from after.errors import Unavailable
from after.server.writer import Writer

logger = logging.getLogger(__name__)

ROWS = 200
PAGES = 500
"""How many documents one step writes anew, or how many free pages it gives back. Other writes come between two steps:
while VACUUM does it all at once nobody could write, and a worker whose heartbeat had to wait would count as lost."""

PACK = """
CREATE TEMP TABLE packing AS SELECT * FROM document WHERE number > {0} ORDER BY number LIMIT {1};
DELETE FROM document WHERE number IN (SELECT number FROM packing);
INSERT INTO document SELECT * FROM packing ORDER BY number;
"""


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
            place, end = 0, await self._writer.run(_last)
            while place < end:
                place = await self._writer.run(partial(_pack, after=place))
            await self._writer.run(_convert, bare=True)
            while await self._writer.run(_give_back):
                continue
            await self._writer.run(_truncate, bare=True)
            logger.info("the database is compacted")


def _last(connection: sqlite3.Connection) -> int:
    """Give the number of the last document; what is written from now on stands close together anyway."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM document").fetchone()[0])


def _pack(connection: sqlite3.Connection, after: int) -> int:
    """Write the documents behind a number anew, and close together; give the last of them.

    A document that became smaller, as a deleted one does, leaves room where it stands, which no page is free by.
    """
    for statement in PACK.format(after, ROWS).split(";"):
        connection.execute(statement)
    (last,) = connection.execute("SELECT max(number) FROM packing").fetchone()
    connection.execute("DROP TABLE packing")
    return int(last)


def _convert(connection: sqlite3.Connection) -> None:
    """Make a file of an earlier After one that can be compacted in steps: once, and nothing is written meanwhile."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")


def _give_back(connection: sqlite3.Connection) -> int:
    """Give back some of the free pages; tell how many are left."""
    connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()  # each page is a row, so all have to be read
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(left)


def _truncate(connection: sqlite3.Connection) -> None:
    """Copy the log into the database, and empty it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
