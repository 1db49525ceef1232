"""A process that the database has not heard of for long starts nothing: others may have taken its tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxying import Way
from working import SECONDS, working

from after.client import Client
from after.clock import SystemClock, now
from after.database import Database
from after.dates import format_instant
from after.jobs import job
from after.scheduler import Scheduler
from after.testing import TurnableClock
from after.worker import presence, worker

if TYPE_CHECKING:
    import pytest
    from serving import Server


async def heard_to_hold_one(server: Server) -> None:
    """Wait until the worker itself says that it holds a task: it knows then that its claim was taken."""
    async with asyncio.timeout(SECONDS), Database(server.database) as database:
        async for change in database.changes(since=0, selector={"type": "worker", "held": 1}):
            if change:
                return


async def test_nothing_begins_until_the_database_hears_of_the_process_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "HEARTBEAT", 0.05)
    monkeypatch.setattr(worker, "CHORE_SECONDS", 0.5)
    clock = TurnableClock(now(SystemClock()))
    date = now(clock) + 5_000
    heard, reached = False, asyncio.Event()
    begun: list[bool] = []

    @job
    async def note() -> None:
        begun.append(heard)

    async with (
        Client(server.database) as client,
        Way(server.database) as way,
        working(way.url, note, clock=clock),
        Scheduler(clock=clock) as scheduler,
    ):
        await client.schedule("manobi", "note", date=format_instant(date), id="late")
        scheduler.at(date, reached.set)
        await heard_to_hold_one(server)
        await way.die()
        clock.advance(int(presence.LOST_AFTER * 1000) + 1)
        await reached.wait()  # the worker's scheduler, which was there first, has been turned before
        heard = True
        await way.start()
        task = await client.wait("late", SECONDS)
    assert (task["status"], begun) == ("done", [True])
