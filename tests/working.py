"""A worker on the test's own event loop, against a real server, and the jobs that the tests give it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from after.client import Client
from after.database import Database
from after.jobs import Registry, TaskContext, job
from after.task import Document
from after.worker import Worker, rescue

SECONDS = 20.0
"""How long a test waits for what has to come; it never does when all is well."""


@job
async def nothing() -> None:
    """Do nothing."""


@job
async def give(value: Any) -> Any:
    """Return what it gets."""
    return value


@job
def give_in_thread(value: Any) -> Any:
    """Return what it gets, from a thread."""
    return value


@job
async def fail(message: str) -> None:
    """Raise."""
    raise LookupError(message)


@job(retry={"limit": 2, "interval": "PT0.01S"})
async def flaky(*, task: TaskContext) -> int:
    """Fail twice, then return the number of the attempt."""
    if task.attempt < 3:
        raise OSError(f"attempt {task.attempt}")
    return task.attempt


@job
async def exit_async() -> None:
    """Try to end the process, from the loop."""
    sys.exit(3)


@job
def exit_in_thread() -> None:
    """Try to end the process, from a thread."""
    sys.exit(3)


@job
async def give_object() -> object:
    """Return what is not JSON."""
    return object()


@job(timeout="PT0.05S")
async def hang() -> None:
    """Never return."""
    await asyncio.Event().wait()


@job(timeout="PT0.05S")
def hang_in_thread() -> None:
    """Never return, in a thread, where nothing can stop it."""
    threading.Event().wait()


class Gate:
    """A job that says that it has begun and waits until it may end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.runs = 0

        @job
        async def gate() -> str:
            self.runs += 1
            self.begun.set()
            await self.open.wait()
            return "through"

        self.job = gate


JOBS = (nothing, give, give_in_thread, fail, flaky, exit_async, exit_in_thread, give_object, hang, hang_in_thread)


@asynccontextmanager
async def working(url: str, *jobs: Callable[..., Any], name: str = "manobi", **options: Any) -> AsyncIterator[Worker]:
    """Run a worker with these jobs, all of JOBS without any, until the block ends."""
    async with Database(url) as database:
        worker = Worker(name, Registry.of(*(jobs or JOBS)), database, **options)
        running = asyncio.create_task(worker.run())
        ready = asyncio.create_task(worker.ready.wait())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        try:
            yield worker
        finally:
            worker.stop()
            await running


def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers of one process take each other for processes of other machines, which only their heartbeats tell of.

    Otherwise each would find that the other's process id is its own, which cannot be, and that the other is dead.
    """
    monkeypatch.setattr(rescue, "machine", lambda: "another")


async def run_to_the_end(client: Client, job: str, *arguments: Any, **fields: Any) -> Document:
    """Post a task for the worker `manobi` and wait until it has ended."""
    task = await client.schedule("manobi", job, *arguments, **fields)
    return await client.wait(task["_id"], SECONDS)


async def until(client: Client, identity: str, status: str) -> Document:
    """Wait until a task has a status."""
    async with asyncio.timeout(SECONDS):
        task = await client.get(identity)
        if task["status"] == status:
            return task
        async for task in client.changes(since=0):
            if task["_id"] == identity and task["status"] == status:
                return task
    raise AssertionError(f"{identity} never became {status}")


def story(task: Document) -> list[str]:
    """Give the statuses that a task has gone through."""
    return [entry["status"] for entry in task["history"]]
