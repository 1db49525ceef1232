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
from after.worker import presence, worker

if TYPE_CHECKING:
    import pytest
    from serving import Server


class Ahead(SystemClock):
    """A clock on which more time has passed than has."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


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
    monkeypatch.setattr(worker, "CHORE_SECONDS", 1.0)
    clock = Ahead()
    async with Client(server.database) as client, Way(server.database) as way, working(way.url, clock=clock):
        date = now(clock) + 700
        await client.schedule("manobi", "give", 7, date=format_instant(date), id="late")
        await heard_to_hold_one(server)
        await way.die()
        clock.ahead = presence.LOST_AFTER + 1
        await asyncio.sleep(max(0, date - now(clock)) / 1000 + 0.2)
        heard = now(clock)
        await way.start()
        task = await client.wait("late", SECONDS)
    assert task["status"] == "done"
    assert [entry["lateness_ms"] >= heard - date for entry in task["history"] if "lateness_ms" in entry] == [True]
