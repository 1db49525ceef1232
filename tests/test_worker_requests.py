"""What clients ask of tasks that a worker holds or runs, and how a worker stops."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from working import SECONDS, Gate, nothing, run_to_the_end, story, until, working

from after.client import Client
from after.database import Database
from after.errors import Forbidden
from after.jobs import TaskContext, job

if TYPE_CHECKING:
    from serving import Server

SOON = "PT8S"
"""Within the horizon, so that the worker holds the task, and longer than any test."""


async def test_a_task_that_nobody_holds_is_canceled_by_the_next_worker(server: Server) -> None:
    async with Client(server.database) as client:
        await client.schedule("manobi", "nothing", date="2100-01-01", id="far")
        assert (await client.cancel("far"))["status"] == "cancel"
        async with working(server.database):
            task = await client.wait("far", SECONDS)
    assert story(task) == ["waiting", "cancel", "canceled"]


async def test_cancel_drops_the_timer_of_a_held_task(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        task = await client.schedule("manobi", "nothing", date=SOON)
        await until(client, task["_id"], "scheduled")
        await client.cancel(task["_id"])
        task = await client.wait(task["_id"], SECONDS)
    assert story(task) == ["waiting", "scheduled", "cancel", "canceled"]
    assert "claim" not in task


async def test_cancel_stops_a_running_coroutine(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job):
        task = await client.schedule("manobi", "gate")
        await until(client, task["_id"], "running")
        await client.cancel(task["_id"])
        task = await client.wait(task["_id"], SECONDS)
    assert (task["status"], task["attempt"]) == ("canceled", 1)
    assert story(task) == ["waiting", "scheduled", "running", "cancel", "canceled"]


async def test_cancel_tells_a_running_thread(server: Server) -> None:
    heard = threading.Event()

    @job
    def listen(*, task: TaskContext) -> None:
        while not task.canceled:
            heard.wait(0.001)
        heard.set()

    async with Client(server.database) as client, working(server.database, listen):
        task = await client.schedule("manobi", "listen")
        await until(client, task["_id"], "running")
        await client.cancel(task["_id"])
        assert (await client.wait(task["_id"], SECONDS))["status"] == "canceled"
        assert await asyncio.to_thread(heard.wait, SECONDS)


async def test_a_cancel_that_comes_too_late_is_answered_by_the_truth(server: Server) -> None:
    @job
    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done all the same"
        return "never"

    begun = asyncio.Event()
    async with Client(server.database) as client, working(server.database, stubborn):
        task = await client.schedule("manobi", "stubborn")
        await until(client, task["_id"], "running")
        await client.cancel(task["_id"])
        task = await client.wait(task["_id"], SECONDS)
        assert (task["status"], task["result"]) == ("done", "done all the same")
        with pytest.raises(Forbidden, match="'done' cannot become 'cancel'"):
            await client.cancel(task["_id"])


async def test_reschedule_moves_a_held_task(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        task = await client.schedule("manobi", "give", 1, date=SOON)
        await until(client, task["_id"], "scheduled")
        await client.reschedule(task["_id"], "PT0.05S", job={"name": "give", "arguments": [2]})
        task = await client.wait(task["_id"], SECONDS)
    assert (task["status"], task["result"]) == ("done", 2)
    assert story(task) == ["waiting", "scheduled", "reschedule", "waiting", "scheduled", "done"]


async def test_reschedule_of_a_running_task_stops_it_and_runs_it_anew(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job):
        task = await client.schedule("manobi", "gate")
        await until(client, task["_id"], "running")
        gate.begun.clear()
        await client.reschedule(task["_id"], "PT0.05S")
        await gate.begun.wait()
        gate.open.set()
        task = await client.wait(task["_id"], SECONDS)
    assert (task["status"], task["result"]) == ("done", "through")
    assert gate.runs == 2
    assert "reschedule" in story(task)


async def test_again_runs_an_ended_task_once_more(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        task = await run_to_the_end(client, "give", 1)
        asked = await client.again(task["_id"])
        assert (asked["status"], "result" in asked) == ("schedule", False)
        task = await client.wait(task["_id"], SECONDS)
    assert story(task) == ["waiting", "scheduled", "done", "schedule", "scheduled", "done"]
    assert task["attempt"] == 1


async def test_a_task_that_a_client_completed_is_not_run(server: Server) -> None:
    gate = Gate()
    async with Database(server.database) as database, Client(server.database) as client:
        async with working(server.database, gate.job, nothing):
            task = await client.schedule("manobi", "gate", date="PT0.5S")
            task = await until(client, task["_id"], "scheduled")
            await database.put({**task, "status": "done"})
            after = await client.schedule("manobi", "nothing", date="PT0.6S")
            await client.wait(after["_id"], SECONDS)
        assert gate.runs == 0
        assert (await client.get(task["_id"]))["status"] == "done"


async def test_a_task_that_was_deleted_is_not_run(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client, working(server.database, gate.job, nothing):
        task = await client.schedule("manobi", "gate", date="PT0.5S")
        await until(client, task["_id"], "scheduled")
        await client.delete(task["_id"])
        after = await client.schedule("manobi", "nothing", date="PT0.6S")
        await client.wait(after["_id"], SECONDS)
    assert gate.runs == 0


async def test_a_stopping_worker_gives_back_what_has_not_begun_and_awaits_what_has(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client:
        async with working(server.database, gate.job, nothing) as worker:
            running = await client.schedule("manobi", "gate", id="running")
            held = await client.schedule("manobi", "nothing", date=SOON, id="held")
            await until(client, "running", "running")
            await until(client, "held", "scheduled")
            worker.stop()
            held = await until(client, "held", "waiting")
            assert held["history"][-1]["note"] == "its worker was stopped"
            assert (await client.get("running"))["status"] == "running"
            gate.open.set()
        running = await client.get("running")
    assert (running["status"], running["result"]) == ("done", "through")


async def test_a_worker_that_must_stop_at_once_gives_back_what_runs(server: Server) -> None:
    gate = Gate()
    async with Client(server.database) as client:
        async with working(server.database, gate.job, grace=SECONDS) as worker:
            await client.schedule("manobi", "gate", id="running")
            await until(client, "running", "running")
            worker.stop()
            worker.stop()
        task = await client.get("running")
        assert (task["status"], "claim" in task) == ("waiting", False)
        instance = await one_instance(server)
    assert instance["state"] == "stopped"


async def one_instance(server: Server) -> dict[str, object]:
    async with Database(server.database) as database:
        (row,) = await database.view("workers", startkey=["manobi"], endkey=["manobi", {}], include_docs=True)
        assert row.doc is not None
        return row.doc


async def test_a_paused_worker_starts_nothing_until_it_is_resumed(server: Server) -> None:
    control = {"_id": "worker:manobi", "type": "control", "name": "manobi", "paused": True, "note": "maintenance"}
    async with Database(server.database) as database, Client(server.database) as client, working(server.database):
        task = await client.schedule("manobi", "nothing", date=SOON)
        await until(client, task["_id"], "scheduled")
        rev = await database.put(control)
        task = await until(client, task["_id"], "waiting")
        assert task["history"][-1]["note"] == "its worker is paused"
        late = await client.schedule("manobi", "nothing")
        await database.put({**control, "_rev": rev, "paused": False})
        assert (await client.wait(late["_id"], SECONDS))["status"] == "done"


async def test_a_worker_stops_when_the_database_says_so(server: Server) -> None:
    async with Database(server.database) as database:
        from after.worker import Worker

        worker = Worker("manobi", {}, database)
        running = asyncio.create_task(worker.run())
        await worker.ready.wait()
        await database.put(
            {"_id": "worker:manobi", "type": "control", "name": "manobi", "stop": "2100-01-01T00:00:00.000Z"}
        )
        async with asyncio.timeout(SECONDS):
            await running
    assert (await one_instance(server))["state"] == "stopped"


async def test_a_thread_that_was_rescheduled_ends_before_it_runs_anew(server: Server) -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop, running, most = asyncio.get_running_loop(), 0, 0

    @job
    def dawdle() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(SECONDS)
        running -= 1

    async with Client(server.database) as client, working(server.database, dawdle, nothing):
        task = await client.schedule("manobi", "dawdle")
        await until(client, task["_id"], "running")
        begun.clear()
        await client.reschedule(task["_id"], "PT0S")
        await run_to_the_end(client, "nothing")
        assert not begun.is_set()
        may_end.set()
        await asyncio.wait_for(begun.wait(), SECONDS)
        assert (await client.wait(task["_id"], SECONDS))["status"] == "done"
    assert most == 1


async def test_a_thread_that_outlives_its_timeout_is_not_tried_again(server: Server) -> None:
    may_end = threading.Event()

    @job(timeout="PT0.05S", retry={"limit": 5})
    def outlive() -> None:
        may_end.wait(SECONDS)

    async with Client(server.database) as client, working(server.database, outlive):
        task = await run_to_the_end(client, "outlive")
        may_end.set()
    assert (task["status"], task["error"]["type"], task["attempt"]) == ("err", "Timeout", 1)
    assert "not tried again" in task["error"]["message"]
