"""The engine for tests without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from after.blocking import BlockingClient
from after.jobs import Registry
from after.task import Document
from after.testing.clock import TurnableClock
from after.testing.engine import Engine

T = TypeVar("T")


class BlockingEngine:
    """An `Engine` for tests without an event loop: the same methods, and coroutines run on a loop in this thread.

    Use it as a context manager.
    """

    def __init__(self, *jobs: object, clock: TurnableClock | None = None) -> None:
        self._engine = Engine(*jobs, clock=clock)
        self._stack = ExitStack()

    @property
    def clock(self) -> TurnableClock:
        """The clock, which stands still until it is turned."""
        return self._engine.clock

    @property
    def jobs(self) -> Registry:
        """The jobs that the workers know."""
        return self._engine.jobs

    @property
    def origin(self) -> str:
        """The URL of the server, without a path: `/tasks` is below it."""
        return self._engine.origin

    @property
    def url(self) -> str:
        """The URL of the database, as clients take it."""
        return self._engine.url

    @property
    def client(self) -> BlockingClient:
        """A client that goes by the engine's clock; it is open already."""
        return self._client

    def add(self, *jobs: object) -> None:
        """Let the workers know more jobs, as `Engine.add` does."""
        self._engine.add(*jobs)

    def schedule(self, /, worker: str, job: str, *arguments: Any, **options: Any) -> Document:
        """Put a task, as `BlockingClient.schedule` does."""
        return self._client.schedule(worker, job, *arguments, **options)

    def run_due(self) -> list[Document]:
        """Run all that is due, as `Engine.run_due` does."""
        return self._wait_for(self._engine.run_due())

    def run_until(self, date: datetime | str) -> list[Document]:
        """Turn the clock to `date` and run all on the way, as `Engine.run_until` does."""
        return self._wait_for(self._engine.run_until(date))

    def advance(self, length: timedelta | str) -> list[Document]:
        """Let so much time pass with workers at work, as `Engine.advance` does."""
        return self._wait_for(self._engine.advance(length))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._engine.start()
            stack.callback(self._engine.stop)
            # With a factory the runner leaves alone what this thread has for its event loop.
            self._runner = stack.enter_context(asyncio.Runner(loop_factory=asyncio.new_event_loop))
            self._client = stack.enter_context(BlockingClient(self.url, clock=self.clock))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runner.run(coroutine)
        coroutine.close()
        raise RuntimeError("an event loop runs in this thread: use Engine, or its fixture after_engine, and await")
