"""Repeating tasks in a worker, against a real server."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from working import SECONDS, Gate, until, working

from after.client import Client
from after.clock import SystemClock, now
from after.database import Database
from after.dates import format_instant, parse_instant
from after.events import Ended, Started
from after.jobs import TaskContext, job
from after.outcome import Done
from after.task import Document
from after.testing import TurnableClock
from after.worker import gathering, holdings
from after.worker.held import Held

if TYPE_CHECKING:
    from serving import Server


def gaps(task: Document) -> set[int]:
    """Give the ms between the occurrences that a history tells of."""
    dates = [parse_instant(entry["date"]) for entry in task["history"] if "duration_ms" in entry]
    return {after - before for before, after in itertools.pairwise(dates)}


async def test_a_task_runs_at_each_of_its_occurrences(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "give", 7, id="often", repeat={"interval": "PT0.05S", "limit": 8})
        task = await client.wait("often", SECONDS)
    assert (task["status"], task["runs"], task["result"]) == ("done", 8, 7)
    assert gaps(task) == {50}
    lateness = [entry["lateness_ms"] for entry in task["history"] if "lateness_ms" in entry]
    assert len(lateness) == 8
    assert min(lateness) >= 0
    assert [entry["status"] for entry in task["history"] if entry["status"] == "scheduled"] == ["scheduled"]


async def test_no_run_is_told_twice(server: Server) -> None:
    seen: list[int] = []

    @job
    async def note(*, task: TaskContext) -> None:
        seen.append(task.data.get("runs") or 0)

    async with Client(server.database) as client, working(server.database, note):
        await client.schedule("manobi", "note", id="told", repeat={"interval": "PT0.05S", "limit": 8})
        await client.wait("told", SECONDS)
    assert seen == list(range(8))


async def test_a_run_that_fails_is_followed_by_the_next(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "fail", "no", id="fails", repeat={"interval": "PT0.05S", "limit": 3})
        task = await client.wait("fails", SECONDS)
    assert (task["status"], task["error"]["message"], task["runs"]) == ("err", "no", 3)
    assert [entry["error"]["message"] for entry in task["history"] if "error" in entry] == ["no"] * 3


async def test_a_task_never_overlaps_itself(server: Server) -> None:
    running, most = 0, 0

    @job
    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.12)
        running -= 1

    async with Client(server.database) as client, working(server.database, slow):
        await client.schedule("manobi", "slow", id="slow", repeat={"interval": "PT0.05S", "limit": 3})
        task = await client.wait("slow", SECONDS)
    assert (most, task["runs"]) == (1, 3)


async def test_a_cancel_between_two_runs_and_in_one_ends_the_series(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job):
        await client.schedule("manobi", "gate", id="held", repeat={"interval": "PT5S"})
        await gate.begun.wait()
        await client.cancel("held")
        assert (await client.wait("held", SECONDS))["status"] == "canceled"
        gate.open.set()
        await client.schedule("manobi", "gate", id="next", repeat={"interval": "PT5S"})
        async with asyncio.timeout(SECONDS):
            async for task in client.changes(since=0):
                if task["_id"] == "next" and task.get("runs") == 1:
                    break
        assert task["status"] == "scheduled", "it stays with its worker until its next occurrence"
        await client.cancel("next")
        task = await client.wait("next", SECONDS)
    assert (task["status"], task["runs"], gate.runs) == ("canceled", 1, 2)
    assert "claim" not in task


async def test_a_pause_gives_back_what_waits_for_its_next_occurrence(server: Server) -> None:
    from after.control import Control

    async with Client(server.database) as client, working(server.database), Database(server.database) as database:
        await client.schedule("manobi", "nothing", id="paused", repeat={"interval": "PT3S", "limit": 2})
        async with asyncio.timeout(SECONDS):
            async for task in client.changes(since=0):
                if task.get("runs") == 1:
                    break
        await Control(database).pause("manobi", "moving")
        task = await until(client, "paused", "waiting")
        assert task["history"][-1]["note"] == "its worker is paused"
        await Control(database).resume("manobi")
        task = await client.wait("paused", SECONDS)
    assert task["runs"] == 2


async def test_the_next_run_does_not_wait_for_the_engine(server: Server) -> None:
    """Runs go on while nothing can be written, and are all told when it is back."""
    ran = asyncio.Queue[int]()

    @job
    async def note(*, task: TaskContext) -> int:
        await ran.put(task.data.get("runs") or 0)
        return task.data.get("runs") or 0

    async with Client(server.database) as client, working(server.database, note):
        await client.schedule("manobi", "note", id="on", repeat={"interval": "PT0.2S", "limit": 12, "catch_up": "all"})
        async with asyncio.timeout(SECONDS):
            await ran.get()
            server.pause()
            for _ in range(6):
                await ran.get()
            server.resume()
        task = await client.wait("on", SECONDS)
    assert (task["runs"], task["result"]) == (12, 11), "each run has seen how many there were before"
    assert gaps(task) == {200}


async def test_what_waits_for_the_next_run_is_told_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when there is so much of it that the task has to stand still."""
    monkeypatch.setattr(gathering, "REPEAT_DELAY", 0.2)
    monkeypatch.setattr(gathering, "LATE_REPEAT_DELAY", 0.2)
    ran = asyncio.Queue[int]()

    @job
    async def note(*, task: TaskContext) -> None:
        await ran.put(task.data.get("runs") or 0)

    async with Client(server.database) as client, working(server.database, note):
        await client.schedule("manobi", "note", id="on", repeat={"interval": "PT0.05S", "catch_up": "all"})
        async with asyncio.timeout(SECONDS):
            await ran.get()
            server.pause()  # the next write is under way for long
            for _ in range(10):
                latest = await ran.get()
            server.resume()
            async for task in client.changes(since=0):
                if (task.get("runs") or 0) > latest:
                    break
    assert task["runs"] - latest < holdings.MAX_ENDED / 2


async def test_where_many_ends_wait_others_do_so_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at a moment when no write is under way, else as many writes are made as there are such moments."""
    monkeypatch.setattr(gathering, "MANY", 0)
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "nothing", id="many", repeat={"interval": "PT0.03S", "limit": 30})
        task = await client.wait("many", SECONDS)
    assert task["runs"] == 30
    # Made, claimed, told at its moment within 5 seconds, and at its end; a run that takes long is told as it begins.
    assert int(task["_rev"].partition("-")[0]) < 15


async def test_a_client_that_moves_a_task_is_heard_behind_runs_that_are_not_written(server: Server) -> None:
    ran = asyncio.Queue[None]()

    @job
    async def note() -> None:
        await ran.put(None)

    async with Client(server.database) as client, working(server.database, note):
        await client.schedule("manobi", "note", id="moved", repeat={"interval": "PT0.05S"})
        async with asyncio.timeout(SECONDS):
            for _ in range(5):
                await ran.get()
            moved = await client.reschedule("moved", "2100-01-01")
            async for task in client.changes(since=0):
                if (
                    task["_id"] == "moved"
                    and task["status"] == "waiting"
                    and len(task["history"]) > len(moved["history"])
                ):
                    break
    assert task["date"] == "2100-01-01T00:00:00.000Z"
    told = [entry for entry in task["history"] if "duration_ms" in entry]
    assert len(told) >= 5, "no run is forgotten"


async def whole_history(database: Database, task: Document) -> list[Document]:
    archives = await database.get_many([f"history:{task['_id']}:{n}" for n in range(task.get("archived", 0) // 100)])
    parts = [archives[f"history:{task['_id']}:{n}"]["history"] for n in range(len(archives))]
    return [entry for part in parts for entry in part] + task["history"]


async def test_a_long_history_moves_to_archives_and_loses_nothing(server: Server) -> None:
    async with Client(server.database) as client, Database(server.database) as database:
        async with working(server.database):
            repeat: dict[str, Any] = {"interval": "PT0.004S", "limit": 430, "catch_up": "all"}
            await client.schedule("manobi", "nothing", id="long", repeat=repeat)
            task = await client.wait("long", SECONDS)
        assert task["archived"] in (300, 400)
        history = await whole_history(database, task)
    assert len(task["history"]) < 220
    runs = [entry for entry in history if "duration_ms" in entry]
    assert len(runs) == 430
    assert gaps({"history": history}) == {4}


async def test_a_job_sees_the_whole_history_of_its_task(server: Server) -> None:
    told: list[list[Any]] = []

    @job
    async def look(*, task: TaskContext) -> None:
        told.append(task.data["history"])

    async with Client(server.database) as client, working(server.database, look):
        repeat: dict[str, Any] = {"interval": "PT0.02S", "limit": 40, "catch_up": "all"}
        await client.schedule("manobi", "look", id="looks", repeat=repeat)
        task = await client.wait("looks", SECONDS)
    assert [len([entry for entry in history if "duration_ms" in entry]) for history in told] == list(range(40))
    assert told[-1] == task["history"][: len(told[-1])]


async def test_many_is_what_waits_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MANY", 1)
    clock, told = TurnableClock(), asyncio.Queue[Held]()
    waiting = gathering.Gathering(clock, told.put_nowait)
    assert not waiting.many
    waiting.add(Held({"_id": "one"}, [(0, Ended("one", Done()))]))
    assert waiting.many
    clock.advance(int(gathering.REPEAT_DELAY * 1000))
    async with asyncio.timeout(SECONDS):
        assert (await told.get()).id == "one"
    waiting.stop()
    assert not waiting.many


def seconds(identity: str, lateness: float, now: float) -> float:
    return gathering.seconds(identity, Ended("one", Done(), Started("one", 0, lateness)), now)


@pytest.mark.parametrize("now", [0.0, 1234.5])
def test_what_is_told_of_many_tasks_is_spread_evenly(now: float) -> None:
    """Each has a moment in each period, however they began; there are as many in one tenth of it as in another."""
    waits = [seconds(f"{n}", 0, now) for n in range(10_000)]
    assert 0 < min(waits) < max(waits) <= gathering.REPEAT_DELAY
    tenths = Counter(int(wait * 10 / gathering.REPEAT_DELAY) for wait in waits)
    assert all(800 < tenths[tenth] < 1_200 for tenth in range(10))
    moments = {round((now + step + seconds("1", 0, now + step)) % gathering.REPEAT_DELAY, 6) for step in range(7)}
    assert len(moments) == 1


def test_the_end_of_a_run_waits_longer_where_the_worker_is_late() -> None:
    punctual = max(seconds(f"{n}", gathering.LATE, 0) for n in range(500))
    late = max(seconds(f"{n}", gathering.LATE + 1, 0) for n in range(500))
    assert punctual <= gathering.REPEAT_DELAY < late <= gathering.LATE_REPEAT_DELAY
    assert gathering.seconds("1", Ended("one", Done()), 0) == seconds("1", 0, 0)


async def test_archives_are_made_of_tasks_that_are_let_go_after_each_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of a rarer repeat is given back each time; then the cut is a write of its own."""
    from after.worker import runs

    monkeypatch.setattr(runs, "HORIZON", -1_000_000)
    async with Client(server.database) as client, Database(server.database) as database:
        async with working(server.database):
            repeat: dict[str, Any] = {"interval": "PT0.01S", "limit": 130, "catch_up": "all"}
            await client.schedule("manobi", "nothing", id="rare", repeat=repeat)
            task = await client.wait("rare", SECONDS)
        assert task["archived"] >= 200
        history = await whole_history(database, task)
    assert len([entry for entry in history if "duration_ms" in entry]) == 130
    assert gaps({"history": history}) == {10}


async def test_what_was_missed_while_no_worker_was_there(server: Server) -> None:
    start = now(SystemClock()) - 5_500
    async with Client(server.database) as client:
        for policy in ("one", "all", "none"):
            await client.schedule(
                "manobi", "nothing", id=policy, date=format_instant(start),
                repeat={"interval": "PT2S", "catch_up": policy, "limit": 4},
            )  # fmt: skip
        async with working(server.database):
            tasks = {policy: await client.wait(policy, SECONDS) for policy in ("one", "all", "none")}

    def dates(policy: str) -> list[int]:
        history = tasks[policy]["history"]
        return [(parse_instant(entry["date"]) - start) // 2000 for entry in history if "duration_ms" in entry]

    assert dates("all") == [0, 1, 2, 3]
    assert dates("one") == [2, 3, 4, 5]
    assert dates("none") == [3, 4, 5, 6]
    assert all(task["runs"] == 4 for task in tasks.values())


async def test_a_deleted_task_takes_its_archives_along(server: Server) -> None:
    async with Client(server.database) as client, Database(server.database) as database:
        async with working(server.database):
            repeat: dict[str, Any] = {"interval": "PT0.004S", "limit": 150, "catch_up": "all"}
            await client.schedule("manobi", "nothing", id="gone", repeat=repeat)
            await client.wait("gone", SECONDS)
            async with asyncio.timeout(SECONDS):  # the cut of a task that has ended is a write behind its end
                async for task in client.changes(since=0):
                    if task.get("archived"):
                        break
        assert len([entry for entry in await client.history("gone") if "duration_ms" in entry]) == 150
        assert task["archived"] == 100
        await client.delete("gone")
        assert not await database.get_many(["gone", "history:gone:0"])


async def test_a_task_that_must_not_run_twice_is_written_before_it_goes_on(server: Server) -> None:
    seen: list[int] = []

    @job
    async def note(*, task: TaskContext) -> None:
        seen.append(task.data.get("runs") or 0)

    async with Client(server.database) as client, working(server.database, note):
        await client.schedule(
            "manobi", "note", id="once", repeat={"interval": "PT0.05S", "limit": 4}, retry={"on_lost": False}
        )
        task = await client.wait("once", SECONDS)
    assert seen == [0, 1, 2, 3]
    assert [entry["status"] for entry in task["history"] if entry["status"] == "scheduled"] == ["scheduled"] * 4
