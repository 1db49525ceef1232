"""Tasks that share a key run one at a time, in order of date, also with several processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from working import SECONDS, Gate, apart, working

from after.client import Client
from after.clock import SystemClock
from after.database import Database
from after.jobs import TaskContext, job
from after.worker.keys import Keys

if TYPE_CHECKING:
    from serving import Server


class Witness:
    """A job that sees how many of one key run at once, and in which order."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.most = 0
        self.seen: list[str] = []

        @job
        async def witness(*, task: TaskContext) -> None:
            key = task.data["key"]
            self.running[key] = self.running.get(key, 0) + 1
            self.most = max(self.most, self.running[key])
            self.seen.append(task.id)
            await asyncio.sleep(0.002)
            self.running[key] -= 1

        self.job = witness


async def test_one_at_a_time_and_in_order_of_date(server: Server) -> None:
    witness, gate = Witness(), Gate()
    async with Client(server.database) as client, working(server.database, witness.job, gate.job):
        await client.schedule("manobi", "gate", key="customer/7")
        await gate.begun.wait()
        for n in reversed(range(20)):
            await client.schedule("manobi", "witness", id=f"{n:02}", date=f"2020-01-01T00:00:{n:02}Z", key="customer/7")
        assert not witness.seen
        gate.open.set()
        assert (await client.wait("19", SECONDS))["status"] == "done"
    assert witness.most == 1
    assert witness.seen == [f"{n:02}" for n in range(20)]


async def test_those_that_were_there_before_run_in_order(server: Server) -> None:
    witness = Witness()
    async with Client(server.database) as client:
        for n in reversed(range(20)):
            await client.schedule("manobi", "witness", id=f"{n:02}", date=f"2020-01-01T00:00:{n:02}Z", key="k")
        async with working(server.database, witness.job):
            await client.wait("19", SECONDS)
    assert witness.seen == [f"{n:02}" for n in range(20)]


async def test_two_processes_never_run_one_key_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(monkeypatch)
    witness = Witness()
    async with Client(server.database) as client:
        await client.schedule_many(
            {"_id": f"{n}", "worker": "manobi", "job": "witness", "key": f"k{n % 3}", "date": "2020-01-01"}
            for n in range(60)
        )
        async with working(server.database, witness.job), working(server.database, witness.job):
            for n in range(60):
                assert (await client.wait(f"{n}", SECONDS))["status"] == "done"
    assert witness.most == 1
    assert len(witness.seen) == 60


async def test_who_has_claimed_one_gives_it_back_where_another_is_held(server: Server) -> None:
    """Two processes may have claimed two tasks of one key at the same moment."""
    answered: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    common = {"type": "task", "worker": "manobi", "job": "nothing", "key": "k", "status": "scheduled"}
    tasks = [
        {"_id": one, **common, "date": "2020-01-01", "claim": {"instance": one, "at": "2020-01-01"}}
        for one in ("theirs", "ours")
    ]
    async with Database(server.database) as database:
        await database.write(tasks)
        keys = Keys(
            database, SystemClock(), "manobi", "ours", ripe=lambda task: True,
            claimed=lambda task: answered.put_nowait(("claimed", task["_id"])),
            refused=lambda task: answered.put_nowait(("refused", task["_id"])),
        )  # fmt: skip
        keys.start()
        async with asyncio.timeout(SECONDS):
            keys.verify(await database.get("ours"))
            assert await answered.get() == ("refused", "ours")
            theirs = await database.get("theirs")
            await database.put({"_id": "theirs", "_rev": theirs["_rev"], "_deleted": True})
            keys.verify(await database.get("ours"))
            assert await answered.get() == ("claimed", "ours")
        await keys.stop()


async def test_different_keys_do_not_wait_for_each_other(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job):
        await client.schedule("manobi", "gate", key="a")
        await client.schedule("manobi", "gate", key="b")
        async with asyncio.timeout(SECONDS):
            while gate.runs < 2:
                gate.begun.clear()
                await gate.begun.wait()
        gate.open.set()


async def test_an_earlier_task_takes_the_place_of_one_that_waits_for_its_date(server: Server) -> None:
    witness = Witness()
    async with Client(server.database) as client, working(server.database, witness.job):
        await client.schedule("manobi", "witness", id="later", date="PT2S", key="k")
        async with asyncio.timeout(SECONDS):
            async for task in client.changes(since=0):
                if task["status"] == "scheduled":
                    break
        await client.schedule("manobi", "witness", id="sooner", date="PT0.2S", key="k")
        await client.wait("later", SECONDS)
    assert witness.seen == ["sooner", "later"]


async def test_the_others_of_a_key_go_on_after_one_that_fails_or_is_canceled(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job):
        await client.schedule("manobi", "gate", id="stuck", key="k", date="2020-01-01")
        await gate.begun.wait()
        await client.schedule("manobi", "gate", id="next", key="k", date="2020-01-02", timeout="PT0.05S")
        await client.cancel("stuck")
        task = await client.wait("next", SECONDS)
    assert (task["status"], task["error"]["type"]) == ("err", "Timeout")
