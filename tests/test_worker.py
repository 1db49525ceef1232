"""What becomes of a task in a worker, from its finding to its record, against a real server."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from working import SECONDS, nothing, run_to_the_end, story, until, working

from after.client import Client
from after.clock import SystemClock
from after.database import Database
from after.dates import format_instant
from after.events import Released
from after.jobs import Registry, TaskContext, job
from after.task import Document
from after.worker.held import Held
from after.worker.runs import Runs

if TYPE_CHECKING:
    from serving import Server

PAST = "2011-10-12"
FAR = "2100-01-01"


async def test_the_seeds_example_is_done_when_its_worker_comes(server: Server) -> None:
    async with Client(server.database) as client:
        await client.schedule("manobi", "give", [2, 3, "teste"], date=PAST, id="seed")
        async with working(server.database):
            task = await client.wait("seed", SECONDS)
    assert (task["status"], task["result"]) == ("done", [2, 3, "teste"])
    assert story(task) == ["waiting", "scheduled", "done"]
    end = task["history"][-1]
    assert end["lateness_ms"] > 0
    assert end["attempt"] == 1
    assert "claim" not in task


async def test_delayed_tasks_run_in_order_of_date(server: Server) -> None:
    dates = random.Random(5).sample(range(1_300_000_000_000, 1_700_000_000_000), 1_000)
    seen: list[int] = []

    @job
    async def note(date: int) -> None:
        seen.append(date)

    async with Client(server.database) as client:
        await client.schedule_many(
            {
                "worker": "manobi",
                "job": {"name": "note", "arguments": [date]},
                "date": format_instant(date),
                "_id": f"{n}",
            }
            for n, date in enumerate(dates)
        )
        latest = dates.index(max(dates))
        async with working(server.database, note, concurrency=1):
            await client.wait(str(latest), SECONDS)
    assert seen == sorted(dates)


async def test_priority_orders_what_is_due_together(server: Server) -> None:
    seen: list[str] = []

    @job
    async def note(name: str) -> None:
        seen.append(name)

    async with Client(server.database) as client:
        for name, priority in (("low", -5), ("none", 0), ("high", 7)):
            await client.schedule("manobi", "note", name, date=PAST, id=name, priority=priority)
        await client.schedule("manobi", "note", "earlier", date="2011-10-11", priority=-100)
        async with working(server.database, note, concurrency=1):
            await client.wait("low", SECONDS)
    assert seen == ["earlier", "high", "none", "low"]


async def test_nothing_runs_before_its_date(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        tasks = [await client.schedule("manobi", "nothing", date=f"PT{0.1 + n / 100:.3f}S") for n in range(50)]
        ended = [await client.wait(task["_id"], SECONDS) for task in tasks]
    assert all(task["history"][-1]["lateness_ms"] >= 0 for task in ended)
    assert {task["status"] for task in ended} == {"done"}


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "told"),
    [
        ("fail", ["no such campaign"], "LookupError", "no such campaign"),
        ("exit_async", [], "SystemExit", "sys.exit(3)"),
        ("exit_in_thread", [], "SystemExit", "sys.exit(3)"),
        ("give_object", [], "ResultNotJSON", "object"),
        ("hang", [], "Timeout", "0.05 seconds"),
        ("hang_in_thread", [], "Timeout", "0.05 seconds"),
        ("unknown", [], "UnknownJob", "no job 'unknown'"),
        ("give", [], "WrongArguments", "value"),
        ("give", [1, 2], "WrongArguments", "too many"),
        ("give", ["x" * 600_000], "ResultTooLarge", "600002"),
    ],
)
async def test_a_job_that_cannot_be_done_ends_as_err_with_the_reason(
    server: Server, name: str, arguments: list[object], kind: str, told: str
) -> None:
    async with Client(server.database) as client, working(server.database):
        task = await run_to_the_end(client, name, *arguments)
        assert (task["status"], task["error"]["type"]) == ("err", kind)
        assert told in task["error"]["message"]
        assert task["history"][-1]["error"]["type"] == kind
        assert (await run_to_the_end(client, "give_in_thread", 1))["result"] == 1, "the worker is unharmed"


async def test_a_failed_task_is_tried_again(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        task = await run_to_the_end(client, "flaky")
        assert (task["status"], task["result"], task["attempt"]) == ("done", 3, 3)
        assert [entry["error"]["message"] for entry in task["history"] if "error" in entry] == [
            "attempt 1",
            "attempt 2",
        ]
        assert "error" not in task
        task = await run_to_the_end(client, "flaky", retry={"limit": 1})
        assert (task["status"], task["attempt"], task["error"]["message"]) == ("err", 2, "attempt 2")


async def test_a_task_that_comes_too_late_is_not_run(server: Server) -> None:
    async with Client(server.database) as client:
        await client.schedule("manobi", "nothing", date=PAST, expires="PT1H", id="late")
        async with working(server.database):
            task = await client.wait("late", SECONDS)
    assert (task["status"], task["error"]["type"]) == ("err", "Expired")


async def test_a_document_that_went_round_the_interface_gets_its_history(server: Server) -> None:
    raw = {
        "_id": "raw",
        "worker": "manobi",
        "job": {"name": "give", "arguments": [1]},
        "date": PAST,
        "own": {"kept": True},
    }
    async with Database(server.database) as database, Client(server.database) as client:
        await database.put(raw)
        async with working(server.database):
            task = await client.wait("raw", SECONDS)
    assert next((entry["status"], entry["by"]) for entry in task["history"]) == ("waiting", "document")
    assert (task["status"], task["type"], task["own"]) == ("done", "task", {"kept": True})


async def test_what_a_job_says_of_itself_is_kept(server: Server) -> None:
    @job
    def talk(*, task: TaskContext) -> str:
        task.progress(0.5, "half")
        task.log(f"attempt {task.attempt} of {task.id}")
        return str(task.data["own"])

    async with Client(server.database) as client, working(server.database, talk):
        task = await run_to_the_end(client, "talk", own="mine", id="talker")
    assert (task["result"], task["progress"]) == ("mine", {"fraction": 0.5, "text": "half"})
    assert [line["text"] for line in task["log"]] == ["attempt 1 of talker"]


async def test_two_processes_of_one_name_run_each_task_once(server: Server) -> None:
    runs: list[int] = []

    @job
    async def note(number: int) -> None:
        runs.append(number)

    async with Client(server.database) as client:
        async with working(server.database, note), working(server.database, note):
            tasks: list[Document] = [
                {"worker": "manobi", "job": {"name": "note", "arguments": [n]}, "_id": str(n)} for n in range(500)
            ]
            await client.schedule_many(tasks)
            for task in tasks:
                assert (await client.wait(task["_id"], SECONDS))["status"] == "done"
        holders = {entry["by"] for task in await client.list(limit=None) for entry in task["history"][1:]}
    assert sorted(runs) == list(range(500))
    assert holders


async def test_a_task_beyond_the_horizon_stays_in_the_database(server: Server) -> None:
    async with Client(server.database) as client, working(server.database) as worker:
        far = await client.schedule("manobi", "nothing", date=FAR)
        await run_to_the_end(client, "nothing")
        assert (await client.get(far["_id"]))["status"] == "waiting"
        again = await client.reschedule(far["_id"], FAR, own=1)
        assert again["status"] == "reschedule"
        assert (await until(client, far["_id"], "waiting"))["own"] == 1
        assert worker.instance in {entry["by"] for entry in (await client.get(far["_id"]))["history"]}


async def test_many_wait_for_few_places(server: Server) -> None:
    running, most = 0, 0

    @job
    async def crowd() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async with Client(server.database) as client, working(server.database, crowd, concurrency=3):
        tasks = await client.schedule_many({"worker": "manobi", "job": "crowd"} for _ in range(200))
        for task in tasks:
            assert isinstance(task, dict)
            await client.wait(task["_id"], SECONDS)
    assert most == 3


async def test_what_is_answered_or_given_up_does_not_begin() -> None:
    """A task that stood still may have been given back by the time that it may go on."""
    begun: list[str] = []

    async def no_results(_: list[str]) -> dict[str, object]:
        return {}

    runs = Runs(
        Registry.of(nothing), SystemClock(), "one", 10,
        fenced=lambda: False, started=lambda held: begun.append(held.id), ended=lambda held, instant: None,
        said=lambda _: None, results=no_results,
    )  # fmt: skip
    task = {"_rev": "1-a", "worker": "manobi", "job": "nothing"}
    answered, dropped, free = (Held({"_id": name, **task}) for name in ("answered", "dropped", "free"))
    answered.answer = Released("one")
    dropped.drop()
    for held in (answered, dropped, free):
        runs.add(held)
    await runs.wait()
    assert begun == ["free"]
