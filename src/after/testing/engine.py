"""An engine in memory whose clock a test turns, and the part of the worker that the test takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from after.client import Client
from after.clock import now
from after.database import Database
from after.dates import parse_elapsed, parse_instant
from after.jobs import Registry
from after.task import Document
from after.testing.clock import TurnableClock
from after.testing.direct import Direct
from after.testing.known import jobs_of
from after.testing.runner import Runner
from after.testing.server import Server

START = "2040-01-01"
"""Where the clock stands at first, unless it is given."""


class Engine:
    """A whole After for a test: the embedded engine, in memory and with a URL, and workers that run when it says so.

    `jobs` are functions decorated with `@job`, modules with such, registries, or lists of these. The clock stands at
    2040-01-01 unless one is given. Use it as an async context manager, or call `start` and `stop`. Nothing runs but in
    `run_due`, `run_until` and `advance`, which return when all is stored; coroutines run on the loop that calls them.
    """

    def __init__(self, *jobs: object, clock: TurnableClock | None = None) -> None:
        self.clock = clock or TurnableClock(START)
        self.jobs = Registry()
        self.add(*jobs)
        self._server: Server | None = None
        self._under_way = False

    def add(self, *jobs: object) -> None:
        """Let the workers know more jobs; raise `JobError` for what is none, or where a name is another's already."""
        for job in jobs_of(jobs):
            self.jobs.add(job)

    @property
    def origin(self) -> str:
        """The URL of the server, without a path: `/tasks` is below it."""
        return self._running_server().url

    @property
    def url(self) -> str:
        """The URL of the database, as clients take it."""
        return self._running_server().database

    @property
    def client(self) -> Client:
        """A client that goes by the engine's clock; it needs no `async with`."""
        return Client(self.url, clock=self.clock)

    async def schedule(self, /, worker: str, job: str, *arguments: Any, **options: Any) -> Document:
        """Put a task, as `Client.schedule` does."""
        return await self.client.schedule(worker, job, *arguments, **options)

    async def run_due(self) -> list[Document]:
        """Run all that is due, and what becomes due by that, one task at a time; give each that ran, as stored then.

        In order of date, then priority, then id. A task that is tried again at once is given once a run. What cannot
        be run, because it is canceled, too late or wrong, is given as well.
        """
        async with self._running() as runner:
            return await runner.run_due()

    async def run_until(self, date: datetime | str) -> list[Document]:
        """Turn the clock to `date`, and run all that is due on the way at its own instant; give each that ran.

        Raises `ValueError` for a date that has passed already.
        """
        return await self._run_until(_instant(date))

    async def advance(self, length: timedelta | str) -> list[Document]:
        """Let so much time pass with workers at work: `run_until` the instant that is `length` from now.

        A `timedelta` or an ISO 8601 duration. For time in which nobody works, advance the clock itself.
        """
        by = parse_elapsed(length) if isinstance(length, str) else length // timedelta(milliseconds=1)
        return await self._run_until(now(self.clock) + by)

    async def _run_until(self, instant: int) -> list[Document]:
        if instant < now(self.clock):
            raise ValueError("the clock is past that already; only `clock.turn` sets it back")
        async with self._running() as runner:
            return await runner.run_until(instant)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[Runner]:
        if self._under_way:
            raise RuntimeError("tasks are run already; a job cannot run others, nor two of `run_due` go on at once")
        self._under_way = True
        try:
            async with Database(self.url, self.clock, transport=Direct(self._running_server())) as database:
                yield Runner(database, self.clock, self.jobs)
        finally:
            self._under_way = False

    def _running_server(self) -> Server:
        assert self._server is not None, "the engine is not started"
        return self._server

    def start(self) -> None:
        """Start the server; once."""
        assert self._server is None, "an engine is started once"
        self._server = Server(None, self.clock)

    def stop(self) -> None:
        """Stop the server, and forget all; may be called again."""
        if self._server is not None:
            self._server.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _instant(date: datetime | str) -> int:
    if isinstance(date, datetime):
        date = (date if date.tzinfo else date.replace(tzinfo=UTC)).isoformat()
    return parse_instant(date)
