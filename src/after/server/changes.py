"""The changes feed: what was committed, in order of seq, to any number of readers.

A reader is nothing but a position. What it has not read yet it takes from the latest changes, which are kept in memory
once for all readers, or, where it lags behind those, from the database. So a slow reader costs no memory, loses
nothing, and slows nobody.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable

from after.server.rows import Change, Row, encode

KEPT = 4096
"""How many of the latest changes are kept in memory: as many as a commit may have, so that readers find them there."""
KEPT_BYTES = 16 * 1024 * 1024


class Changes:
    """Follows the commits of a store. `read(since, limit)` gives changes from the database."""

    def __init__(self, read: Callable[[int, int], list[Change]]) -> None:
        self._read = read
        self._latest: list[Change] = []
        self._seqs: list[int] = []
        self._bytes = 0
        self._floor: int | None = None
        self._signal: asyncio.Event = asyncio.Event()
        self.readers = 0
        """How many wait for changes at this moment."""

    def publish(self, changes: list[Change]) -> None:
        """Take the changes of a commit, and wake who waits."""
        if self._floor is None:
            self._floor = changes[0].row.seq - 1
        self._latest += changes
        self._seqs += [change.row.seq for change in changes]
        self._bytes += sum(len(change.row.body) for change in changes)
        if len(self._latest) > 2 * KEPT or self._bytes > 2 * KEPT_BYTES:
            self._forget()
        signal, self._signal = self._signal, asyncio.Event()
        signal.set()

    def _forget(self) -> None:
        gone = len(self._latest) - KEPT if len(self._latest) > KEPT else len(self._latest)
        self._floor = self._seqs[gone - 1]
        self._bytes -= sum(len(change.row.body) for change in self._latest[:gone])
        del self._latest[:gone], self._seqs[:gone]

    def after(self, since: int, limit: int) -> list[Change]:
        """Give the next changes after `since`, at most `limit`; none when there are none."""
        if self._floor is None or since < self._floor:
            return self._read(since, limit)
        start = bisect_right(self._seqs, since)
        return self._latest[start : start + limit]

    async def wait(self, since: int, seconds: float) -> bool:
        """Wait until something came after `since`; False when nothing did for so long."""
        signal = self._signal
        if self._seqs and self._seqs[-1] > since:
            return True
        self.readers += 1
        try:
            async with asyncio.timeout(seconds):
                await signal.wait()
        except TimeoutError:
            return False
        finally:
            self.readers -= 1
        return True


def line(change: Change, *, include_docs: bool) -> bytes:
    """Give a change as the feed tells it, without the end of the line."""
    row: Row = change.row
    deleted = b',"deleted":true' if row.deleted else b""
    document = b',"doc":%s' % row.json() if include_docs else b""
    return b'{"seq":%d,"id":%s,"changes":[{"rev":"%s"}]%s%s}' % (
        row.seq, encode(row.id), row.rev.encode(), deleted, document,
    )  # fmt: skip
