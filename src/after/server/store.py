"""The database of the embedded engine: one SQLite file, written by one thread, read on the event loop.

Reads are single steps along an index and bounded in number, so they are done at once, on the loop: a thread would cost
more than the read. What may be long is read in chunks (`Store.chunks`), with a turn of the loop between them.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TextIO

from after.errors import AfterError, NotFound
from after.server import sql
from after.server.compaction import Compaction
from after.server.migration import migrate
from after.server.rows import Answer, Change, Edit, Row
from after.server.writer import Writer

CHUNK = 200
"""Rows read without letting the event loop go on."""

CACHE_KIB = 65_536
CHECKPOINT_PAGES = 8192


class Store:
    """Documents by id, by seq and by the keys of tasks. Use it as an async context manager.

    `path` None keeps everything in a temporary file that goes with the store and is never synced.
    `committed` is called on the event loop with the changes of each commit, in order of seq.
    """

    def __init__(self, path: Path | None, committed: Callable[[list[Change]], None] = lambda changes: None) -> None:
        self._path = path
        self._committed = committed
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._started = False

    async def __aenter__(self) -> Store:
        assert not self._started, "a store is opened once"
        self._started = True
        path = self._path
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="after-")
            path = Path(self._folder.name) / "after.db"
        with ExitStack() as opened:
            self._lock = opened.enter_context(_lock(path))
            try:
                self._writing = opened.enter_context(closing(_open(path, durable=self._path is not None)))
                self.uuid = _prepare(self._writing, path)
                self._reading = opened.enter_context(closing(_open(path, durable=True)))
            except sqlite3.Error as error:
                raise AfterError(f"{path} cannot be used as a database: {error}") from None
            opened.pop_all()  # open until the store is left
        self._reading.execute("PRAGMA query_only = ON")
        (self.seq,) = self._reading.execute("SELECT coalesce(max(seq), 0) FROM document").fetchone()
        self._writer = Writer(self._writing, self.seq, self._publish)
        self.compaction = Compaction(self._writer)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.compaction.stop()
        await self._writer.close()
        self._reading.close()
        self._writing.execute("PRAGMA optimize")
        self._writing.close()
        self._lock.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _publish(self, changes: list[Change]) -> None:
        self.seq = changes[-1].row.seq
        self._committed(changes)

    async def write(self, edits: Sequence[Edit]) -> list[Answer]:
        """Write documents; when this returns, all that is answered with `Written` is on the disk.

        Raises `Unavailable` where the database took nothing, for example because the disk is full.
        """
        return await self._writer.write(edits)

    def get(self, identity: str) -> Row | None:
        """Give a document's winning revision, also where that says it is deleted."""
        found = self._reading.execute(f"SELECT {sql.ROW} FROM document WHERE id = ?", (identity,)).fetchone()  # noqa: S608
        return None if found is None else Row(*found)

    def leaves(self, identity: str) -> list[tuple[Row, str]]:
        """Give all leaf revisions of a document, each with its ancestry, the winner first; none where it never was."""
        statement = f"SELECT {sql.ROW}, ancestry, conflicts FROM document WHERE id = ?"  # noqa: S608
        found = self._reading.execute(statement, (identity,)).fetchone()
        if found is None:
            return []
        *columns, ancestry, conflicts = found
        winner = (Row(*columns), ancestry)
        if not conflicts:
            return [winner]
        losing = "SELECT id, rev, ?, deleted, body, ancestry FROM leaf WHERE id = ?"
        losers = self._reading.execute(losing, (winner[0].seq, identity)).fetchall()
        return [winner, *((Row(*columns), ancestry) for *columns, ancestry in losers)]

    def in_conflict(self) -> bool:
        """Tell whether any document has more than one leaf."""
        return bool(self._reading.execute("SELECT 1 FROM document WHERE conflicts > 0 LIMIT 1").fetchone())

    def select(self, statement: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        """Give all rows of a statement that is known to be short."""
        return self._reading.execute(statement, tuple(values)).fetchall()

    async def chunks(
        self, statement: Callable[[Any], tuple[str, Sequence[object]]], last: Any = None, limit: int | None = None
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Read what may be long, CHUNK rows at a time.

        `statement(last)` gives the text and values that select the rows after the row `last` (None at the start), in
        order; the text ends where `LIMIT` is added. Each chunk is a read of its own: nothing is held open between them.
        """
        left = limit
        while left is None or left > 0:
            size = CHUNK if left is None else min(CHUNK, left)
            text, values = statement(last)
            rows = self._reading.execute(f"{text} LIMIT ?", (*values, size)).fetchall()
            if rows:
                yield rows
                last = rows[-1]
            if len(rows) < size:
                return
            left = None if left is None else left - len(rows)
            await asyncio.sleep(0)

    def tally(self) -> dict[tuple[str, str], int]:
        """Count the tasks of each worker in each status."""
        rows = self._reading.execute("SELECT worker, status, count FROM tally WHERE count > 0 AND worker <> ''")
        return {(worker, status): count for worker, status, count in rows}

    def get_local(self, identity: str) -> tuple[str, bytes] | None:
        """Give revision and body of a local document."""
        found = self._reading.execute("SELECT rev, body FROM local WHERE id = ?", (identity,)).fetchone()
        return None if found is None else (found[0], found[1])

    async def put_local(self, identity: str, body: bytes | None) -> str:
        """Write a local document, or delete it where the body is None; give its new revision.

        Local documents have no history, so the last writer wins, as in CouchDB.
        """

        def write(connection: sqlite3.Connection) -> str:
            found = connection.execute("SELECT rev FROM local WHERE id = ?", (identity,)).fetchone()
            if body is None:
                if found is None:
                    raise NotFound("missing")
                connection.execute("DELETE FROM local WHERE id = ?", (identity,))
                return "0-0"
            rev = f"0-{int(found[0].split('-')[1]) + 1 if found else 1}"
            connection.execute("INSERT OR REPLACE INTO local VALUES (?, ?, ?)", (identity, rev, body))
            return rev

        return str(await self._writer.run(write))

    def sizes(self) -> dict[str, int]:
        """Give the counts and sizes that a database's description tells, sizes in bytes."""
        (documents, deleted) = self._reading.execute(sql.TOTALS).fetchone()
        (pages,) = self._reading.execute("PRAGMA page_count").fetchone()
        (size,) = self._reading.execute("PRAGMA page_size").fetchone()
        (free,) = self._reading.execute("PRAGMA freelist_count").fetchone()
        return {"documents": documents, "deleted": deleted, "file": pages * size, "active": (pages - free) * size}

    def free(self) -> int:
        """Give the bytes that are free where the database is."""
        return shutil.disk_usage(self._path.parent if self._path is not None else tempfile.gettempdir()).free


def _open(path: Path, *, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        _set_up(connection, path, durable=durable)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, *, durable: bool) -> None:
    _check_owner(connection, path)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first write, for a new file to be made so
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA busy_timeout = 5000")


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `AfterError` for a file of another program, before anything is written to it."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != sql.APPLICATION_ID and (application != 0 or tables != 0):
        raise AfterError(f"{path} is a SQLite file of another program")


def _prepare(connection: sqlite3.Connection, path: Path) -> str:
    """Make the tables in a new file, or bring an older one to their form of today; give the database's uuid."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        connection.executescript(sql.creation(uuid.uuid4().hex))
    migrate(connection, path)
    return str(connection.execute("SELECT value FROM property WHERE name = 'uuid'").fetchone()[0])


def _lock(path: Path) -> TextIO:
    """Keep a second server off the file; the lock goes with the process, however that ends."""
    try:
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise AfterError(f"{path} cannot be locked: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AfterError(f"{path} is in use by another server") from None
    return lock
