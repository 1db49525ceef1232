"""What jobs write by Python's `logging` stands in the log of their task, whatever they run on."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from working import run_to_the_end, working

from after.client import Client
from after.clock import SystemClock
from after.jobs import Registry, TaskContext, job
from after.jobs.context import LOG_LINES, MAX_LINE
from after.jobs.logs import Capture, capturing
from after.jobs.run import run
from after.task import Call

if TYPE_CHECKING:
    from serving import Server

shop = logging.getLogger("shop.jobs")


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """Let the root logger let everything from INFO on through."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(before)


@job
async def in_loop(name: str) -> None:
    shop.info("%s begins", name)
    await asyncio.sleep(0)
    shop.debug("nobody wants to know")
    logging.getLogger("after.worker").info("not the job's")
    await asyncio.gather(*(asyncio.to_thread(shop.warning, "%s in part %d", name, part) for part in (1, 2)))


@job
def in_thread(name: str) -> None:
    shop.info("%s", name)
    try:
        raise LookupError("no such customer")
    except LookupError:
        shop.exception("%s failed", name)


def context() -> TaskContext:
    return TaskContext({"_id": "one"}, 1, SystemClock(), lambda: None)


async def lines(name: str, *arguments: str) -> list[str]:
    task = context()
    registry = Registry.of(in_loop, in_thread)
    await asyncio.create_task(run(registry[name], Call(name, list(arguments)), task, None))
    return [line["text"] for line in task.said().get("log", [])]


async def test_each_job_has_its_own_lines() -> None:
    with capturing():
        found = await asyncio.gather(*(lines("in_loop", str(n)) for n in range(20)))
    for n, logged in enumerate(found):
        assert logged[0] == f"INFO shop.jobs: {n} begins"
        assert sorted(logged[1:]) == [f"WARNING shop.jobs: {n} in part 1", f"WARNING shop.jobs: {n} in part 2"]


async def test_a_traceback_stands_below_its_line() -> None:
    with capturing():
        first, second = await lines("in_thread", "it")
    assert first == "INFO shop.jobs: it"
    assert second.startswith("ERROR shop.jobs: it failed\nTraceback (most recent call last):\n")
    assert second.endswith("LookupError: no such customer")


async def test_nothing_is_captured_outside_of_a_worker() -> None:
    assert await lines("in_loop", "it") == []
    with capturing():
        shop.info("of no job")
    assert not any(isinstance(handler, Capture) for handler in logging.getLogger().handlers)


async def test_two_workers_of_one_process_capture_a_line_once() -> None:
    with capturing():
        with capturing():
            assert len(await lines("in_loop", "it")) == 3
        assert len(await lines("in_loop", "it")) == 3


async def test_a_message_that_cannot_be_made_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    @job
    async def wrong() -> str:
        shop.info("%d", "not a number")
        return "done"

    monkeypatch.setattr(logging, "raiseExceptions", False)
    with capturing():
        found = await asyncio.create_task(run(Registry.of(wrong)["wrong"], Call("wrong"), context(), None))
    assert found.result == "done"  # type: ignore[union-attr]


def test_lines_and_their_number_are_bounded() -> None:
    heard: list[None] = []
    task = TaskContext({"_id": "one"}, 1, SystemClock(), lambda: heard.append(None))
    handler = Capture(task)
    record = logging.LogRecord("shop", logging.INFO, "", 0, "x" * 100_000, None, None)
    for _ in range(10_000):
        task.log("y" * 5_000)
    handler.emit(record)
    found = task.said()["log"]
    assert len(found) == LOG_LINES
    assert {len(line["text"]) for line in found} == {MAX_LINE}
    assert len(heard) == 1, "who writes it down is told once"
    task.log("more")
    assert len(heard) == 2
    task.progress(text="z" * 5_000)
    assert len(task.said()["progress"]["text"]) == MAX_LINE


def test_words_come_from_any_thread() -> None:
    task = context()
    taken: list[str] = []
    threads = [threading.Thread(target=lambda n=n: [task.log(f"{n}") for _ in range(25)]) for n in range(4)]
    for thread in threads:
        thread.start()
    while len(taken) < 100:
        taken += [line["text"] for line in task.take().get("log", ())]
    assert {n: taken.count(n) for n in "0123"} == dict.fromkeys("0123", 25)


async def test_a_worker_records_them(server: Server) -> None:
    async with Client(server.database) as client, working(server.database, in_loop, in_thread):
        task = await run_to_the_end(client, "in_loop", "it")
        assert len(task["log"]) == 3
        assert task["log"][0]["text"] == "INFO shop.jobs: it begins"
        assert (await run_to_the_end(client, "in_thread", "it"))["log"][0]["text"] == "INFO shop.jobs: it"
    assert not any(isinstance(handler, Capture) for handler in logging.getLogger().handlers)


async def test_results_of_other_tasks_are_there() -> None:
    results = {"first": {"n": 1}}
    task = TaskContext({"_id": "one"}, 1, SystemClock(), lambda: None, results)
    assert task.results == results
    task.results["first"]["n"] = 2
    assert task.results == {"first": {"n": 1}}
    assert context().results == {}
