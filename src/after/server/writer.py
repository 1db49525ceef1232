"""The one thread that writes. Requests that come while it commits share the next commit, and so its fsync."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, cast

from after.errors import Unavailable
from after.server.group import Group
from after.server.rows import Answer, Change, Edit

logger = logging.getLogger(__name__)

MAX_GROUP = 4096
"""How many edits share one commit at the most, so that the first of them does not wait for ever."""

WORTH_COPYING = 500
"""How many edits the log holds at the least before it is copied into the database in a pause."""
PAUSE_SECONDS = 0.1


class Edits(NamedTuple):
    """The edits of one request, and where their answers go."""

    edits: Sequence[Edit]
    future: asyncio.Future[list[Answer]]


class Action(NamedTuple):
    """A function that gets the writing connection, in a transaction of its own, or in none where it is `bare`."""

    run: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    bare: bool = False


class Writer:
    """Applies edits in groups and tells the event loop, once a group, what became of them.

    `committed` is called on the loop with the changes of each group before any request hears its answer.
    """

    def __init__(self, connection: sqlite3.Connection, seq: int, committed: Callable[[list[Change]], None]) -> None:
        self._connection = connection
        self._seq = seq
        self._committed = committed
        self._logged = 0
        self._queue: SimpleQueue[Edits | Action | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="after-writer", daemon=True)
        self._thread.start()

    def write(self, edits: Sequence[Edit]) -> asyncio.Future[list[Answer]]:
        """Queue edits; the future gives an answer for each, in their order, after the commit."""
        future: asyncio.Future[list[Answer]] = self._loop.create_future()
        self._queue.put(Edits(edits, future))
        return future

    def run(self, function: Callable[[sqlite3.Connection], Any], *, bare: bool = False) -> asyncio.Future[Any]:
        """Queue a function that gets the writing connection; the future gives what it returns, after the commit.

        One that is `bare` is called outside of a transaction, which some statements cannot bear.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(Action(function, future, bare))
        return future

    async def close(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while True:
            for kind, items in groupby(self._waiting(), type):
                if kind is Edits:
                    self._write(cast("list[Edits]", list(items)))
                elif kind is Action:
                    for action in items:
                        self._run(cast("Action", action))
                else:
                    return

    def _waiting(self) -> Iterator[Edits | Action | None]:
        """Give what is queued now, at least one item, at most about a full group."""
        size = 0
        while size < MAX_GROUP:
            item = self._next()
            size += len(item.edits) if isinstance(item, Edits) else 1
            yield item
            if self._queue.empty():
                return

    def _next(self) -> Edits | Action | None:
        """Wait for work. A pause is used to copy the log into the database, which some commit had to do otherwise."""
        while self._logged >= WORTH_COPYING:
            try:
                return self._queue.get(timeout=PAUSE_SECONDS)
            except Empty:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._logged = 0
        return self._queue.get()

    def _write(self, requests: list[Edits]) -> None:
        try:
            with transaction(self._connection):
                group = Group(self._connection, self._seq, _ids(requests))
                answers = [[group.edit(edit) for edit in request.edits] for request in requests]
                changes = group.store()
        except Exception as error:
            logger.exception("a commit of %d requests failed", len(requests))
            self._tell(self._refuse, requests, error)
        else:
            self._seq = group.seq
            self._logged += len(changes)
            self._tell(self._answer, requests, answers, changes)

    def _run(self, action: Action) -> None:
        try:
            with nullcontext() if action.bare else transaction(self._connection):
                result = action.run(self._connection)
        except Exception as error:
            logger.exception("a write failed")
            self._tell(self._refuse, [action], error)
        else:
            self._tell(self._answer, [action], [result], [])

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more, and what was committed stays so
            logger.warning("the server was stopped before a write was answered")

    def _answer(self, items: Sequence[Edits | Action], answers: Sequence[Any], changes: list[Change]) -> None:
        if changes:
            self._committed(changes)
        for item, answer in zip(items, answers, strict=True):
            if not item.future.done():
                item.future.set_result(answer)

    @staticmethod
    def _refuse(items: Sequence[Edits | Action], error: Exception) -> None:
        for item in items:
            if not item.future.done():
                item.future.set_exception(Unavailable(f"the database did not take the write: {error}"))


def _ids(requests: list[Edits]) -> list[str]:
    """Give the ids of all documents that are written, those that go along with others too."""
    edits = [edit for request in requests for edit in request.edits]
    return [edit.id for edit in edits] + [one.id for edit in edits if edit.along for one in edit.along]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, durably, or undo all of it and raise what was wrong."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, a full disk among them, have rolled back already
            connection.execute("ROLLBACK")
        raise
