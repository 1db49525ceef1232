"""Jobs in processes of their own: real ones, whose end is waited for by file descriptors of theirs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import process_jobs
import pytest
from commanding import Command
from process_jobs import JOBS
from processes import let_end, parent, pipe, told, watched
from working import SECONDS, run_to_the_end, story, until, working

from after.client import Client
from after.clock import SystemClock
from after.dates import parse_instant
from after.errors import JobError
from after.jobs import Registry, TaskContext, job
from after.jobs.process import Order
from after.jobs.run import run
from after.jobs.source import Source
from after.outcome import Done, Failed, Outcome, Stopped
from after.task import Call

if TYPE_CHECKING:
    from serving import Server

GONE_SECONDS = 2.0
"""What is promised: so long after a timeout or a cancel nothing of the job is left."""
REGISTRY = Registry.of(*JOBS)


def context(**fields: Any) -> TaskContext:
    return TaskContext({"_id": "one", "own": "mine", **fields}, 3, SystemClock(), lambda: None, {"a": 1, "b": 2})


async def outcome(name: str, *arguments: Any, task: TaskContext | None = None) -> Outcome:
    return await run(REGISTRY[name], Call(name, list(arguments)), task or context(), SECONDS)


async def failure(name: str, *arguments: Any) -> Failed:
    found = await outcome(name, *arguments)
    assert isinstance(found, Failed)
    return found


@pytest.mark.parametrize("value", [None, 1, 2.5, "Grüße", [1, {"a": None}], pytest.param("x" * 500_000, id="long")])
async def test_it_gives_what_the_job_returns(value: object) -> None:
    assert await outcome("give", value) == Done(value)


async def test_a_coroutine_knows_its_task() -> None:
    found = await outcome("give_async", "value")
    assert isinstance(found, Done)
    *known, process = found.result  # type: ignore[misc]
    assert known == ["value", "one", 3, "mine"]
    assert process != os.getpid()
    assert await outcome("sum_of_results") == Done(3)


async def test_what_it_says_comes_while_it_runs() -> None:
    news = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = TaskContext({"_id": "one"}, 1, SystemClock(), lambda: loop.call_soon_threadsafe(news.set))
    running = asyncio.create_task(outcome("speak_and_stay", task=task))
    said: dict[str, Any] = {}
    async with asyncio.timeout(SECONDS):
        while said.keys() != {"log", "progress"}:
            await news.wait()
            news.clear()
            said = task.said()
    assert said["progress"] == {"fraction": 0.5, "text": "half"}
    assert [line["text"] for line in said["log"]] == ["here"]
    assert not running.done()
    running.cancel()
    assert await running == Stopped()


async def test_what_it_prints_stays_apart_from_what_it_says(capfd: pytest.CaptureFixture[str]) -> None:
    task = context()
    assert await outcome("speak", task=task) == Done("said")
    said = task.said()
    assert [line["text"] for line in said["log"]] == [
        "by the task",
        "WARNING shop: by logging",
        "WARNING shop.thread: from a thread",
    ]
    assert said["progress"] == {"fraction": 0.25, "text": "a quarter"}
    out, err = capfd.readouterr()
    assert out == "printed to the standard output\n"
    assert "printed to the standard error output\n" in err


async def test_a_flood_of_words_leaves_the_last(capfd: pytest.CaptureFixture[str]) -> None:
    task = context()
    assert await outcome("flood", 20_000, task=task) == Done(20_000)
    lines = [line["text"] for line in task.said()["log"]]
    assert [line.split()[3] for line in lines] == [str(number) for number in range(19_900, 20_000)]
    assert capfd.readouterr().out.count("\n") == 20_000


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "told_why"),
    [
        ("fail", ["no such picture"], "LookupError", "no such picture"),
        ("give_object", [], "ResultNotJSON", "object"),
        ("give", ["x" * 600_000], "ResultTooLarge", "600002"),
        ("call_exit", [], "SystemExit", "sys.exit(4)"),
        ("exit_at_once", [3], "ProcessDied", "exit code 3"),
        ("exit_at_once", [0], "ProcessDied", "exit code 0"),
        ("kill_itself", [], "ProcessDied", "SIGKILL"),
        ("take", [300], "MemoryError", "200 MiB"),
        ("take_by_and_by", [], "MemoryError", "200 MiB"),
    ],
)
async def test_how_it_can_fail(name: str, arguments: list[object], kind: str, told_why: str) -> None:
    found = await failure(name, *arguments)
    assert found.error.type == kind
    assert told_why in found.error.message


async def test_what_fits_into_its_memory_is_done() -> None:
    assert await outcome("take", 120) == Done(120 * 1024 * 1024)
    assert await outcome("take_little") == Done(24 * 1024 * 1024)


async def test_a_pool_of_processes_works_in_it() -> None:
    assert await outcome("pool") == Done([1, 2])


@pytest.mark.parametrize("name", ["end_a_child", "end_a_child_async"])
async def test_its_forked_children_hear_sigterm(name: str) -> None:
    assert await outcome(name) == Done(-signal.SIGTERM)


async def test_its_children_end_with_it(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome("leave", str(file)))
    with watched(await told(file)) as processes:
        await let_end(file)
        assert await running == Done("ended")
        assert processes.ended(0)


async def test_a_thread_that_it_leaves_does_not_keep_it(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome("linger", str(file)))
    with watched(await told(file)) as processes:
        await let_end(file)
        assert await running == Done("returned")
        assert processes.ended(0)


@pytest.mark.parametrize(
    ("name", "end"), [("stay_async", "cleaned up"), ("stay_plainly", "cleaned up"), ("listen", "heard it")]
)
async def test_it_can_clean_up_when_it_is_told_to_end(tmp_path: Path, name: str, end: str) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome(name, str(file)))
    with watched(await told(file)) as processes:
        running.cancel()
        assert await running == Stopped()
        assert processes.ended(0)
    assert file.with_suffix(".end").read_text() == end


async def test_told_twice_to_end_it_is_killed_at_once(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(run(REGISTRY["stay"], Call("stay", [str(file)]), context(), None))
    with watched(await told(file)) as processes:
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await processes.left(GONE_SECONDS) == []
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("program")))


async def test_a_sigterm_from_elsewhere_is_no_cancel(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome("stay_async", str(file)))
    (pid,) = await told(file)
    os.kill(pid, signal.SIGTERM)
    found = await running
    assert isinstance(found, Failed)
    assert (found.error.type, found.final) == ("ProcessDied", False)


async def test_the_death_of_its_guard_is_its_own(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome("stay_plainly", str(file)))
    (pid,) = await told(file)
    with watched([pid]) as processes:
        os.kill(parent(pid), signal.SIGKILL)
        found = await running
        assert isinstance(found, Failed)
        assert found.error.type == "ProcessDied"
        assert await processes.left(GONE_SECONDS) == []


async def test_a_process_that_cannot_begin_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    found = await failure("give", 1)
    assert found.error.type == "ProcessDied"
    assert "could not be started" in found.error.message


async def test_a_worker_ends_it_with_its_children_at_its_timeout(server: Server, tmp_path: Path) -> None:
    file = pipe(tmp_path)
    async with Client(server.database) as client, working(server.database, *JOBS):
        task = await client.schedule("manobi", "stay", str(file), timeout="PT3S")
        with watched(await told(file)) as processes:
            task = await until(client, task["_id"], "running")
            over = parse_instant(task["history"][-1]["at"]) / 1000 + 3  # a little late, as the entry is
            assert await processes.left(over + GONE_SECONDS - time.time()) == []
            task = await client.wait(task["_id"], SECONDS)
    assert (task["status"], task["error"]["type"]) == ("err", "Timeout")
    assert "does not end" not in task["error"]["message"]


async def test_a_worker_ends_it_with_its_children_at_a_cancel(server: Server, tmp_path: Path) -> None:
    file = pipe(tmp_path)
    async with Client(server.database) as client, working(server.database, *JOBS):
        task = await client.schedule("manobi", "stay", str(file))
        with watched(await told(file)) as processes:
            await until(client, task["_id"], "running")
            await client.cancel(task["_id"])
            assert await processes.left(GONE_SECONDS) == []
            task = await client.wait(task["_id"], SECONDS)
    assert story(task) == ["waiting", "scheduled", "running", "cancel", "canceled"]


async def test_a_worker_gives_back_what_it_must_end(server: Server, tmp_path: Path) -> None:
    file = pipe(tmp_path)
    async with Client(server.database) as client, AsyncExitStack() as stack:
        worker = await stack.enter_async_context(working(server.database, *JOBS, grace=0))
        task = await client.schedule("manobi", "stay", str(file))
        with watched(await told(file)) as processes:
            await until(client, task["_id"], "running")
            worker.stop()
            await until(client, task["_id"], "waiting")
            assert processes.ended(0)


async def test_a_worker_records_what_it_says(server: Server) -> None:
    async with Client(server.database) as client, working(server.database, *JOBS):
        task = await run_to_the_end(client, "speak")
        assert (task["status"], task["result"]) == ("done", "said")
        assert task["log"][0]["text"] == "by the task"
        task = await run_to_the_end(client, "give", 1, 2)
        assert (task["status"], task["error"]["type"]) == ("err", "WrongArguments")


FILE = """
import os

from after import job

import neighbour


@job(process=True)
def stay(file):
    with open(file, "w") as told:
        told.write(f"{os.getpid()} {neighbour.child()}")
    neighbour.wait()


@job(process=True)
def give(value):
    return [value, neighbour.NAME]
"""
NEIGHBOUR = """
import signal
import subprocess
import time

NAME = "neighbour"


def child():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return subprocess.Popen(["sleep", "3600"], start_new_session=True).pid


def wait():
    time.sleep(3600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files that import each other."""
    path = tmp_path / "jobs"
    path.mkdir()
    (path / "stays.py").write_text(FILE)
    (path / "neighbour.py").write_text(NEIGHBOUR)
    return path


async def test_the_death_of_its_worker_is_its_own(server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "neighbour.py").write_text(NEIGHBOUR + "\n\nfrom after import job\n\n\n@job\ndef own(): ...\n")
    file = pipe(tmp_path)
    async with Client(server.database) as client:
        with Command("start", "manobi", "--jobs", folder, url=server.database) as worker:
            worker.wait_for("started as")
            task = await run_to_the_end(client, "give", 1)
            assert task["result"] == [1, "neighbour"]
            await client.schedule("manobi", "stay", str(file))
            with watched(await told(file)) as processes:
                worker.process.kill()
                assert await processes.left(GONE_SECONDS) == []


async def test_a_module_that_does_not_load_a_second_time_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "vanishing.py"
    path.write_text("from after import job\n\n\n@job(process=True)\ndef vanish(): ...\n")
    registry = Registry.load([str(path)], entry_points=False)
    monkeypatch.delitem(sys.modules, "vanishing")
    for text, why in (("", "has no job 'vanish'"), ("import nothing_there", "No module named 'nothing_there'")):
        path.write_text(text)
        found = await run(registry["vanish"], Call("vanish"), context(), None)
        assert isinstance(found, Failed)
        assert found.error.type == "JobError"
        assert why in found.error.message


def test_what_a_new_process_cannot_import_is_refused() -> None:
    with pytest.raises(JobError, match="define it at the top of its module"):

        @job(process=True)
        def inner() -> None: ...

    def script() -> None: ...

    script.__module__ = "__main__"
    with pytest.raises(JobError, match="the script that was started"):
        job(process=True)(script)


@pytest.mark.parametrize(
    ("memory", "size"),
    [("512M", 512 * 1024**2), ("1G", 1024**3), ("1 GiB", 1024**3), ("200000K", 200_000 * 1024), (2**30, 2**30)],
)
def test_memory_is_bytes_or_text(memory: str | int, size: int) -> None:
    def own() -> None: ...

    own.__qualname__ = "own"
    assert job(process=True, memory=memory)(own).__after_job__.memory == size  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"memory": "512M"}, "add process=True"),
        ({"process": True, "memory": "much"}, "'512M'"),
        ({"process": True, "memory": True}, "'512M'"),
        ({"process": True, "memory": "1M"}, "less than the 96M"),
        ({"process": True, "memory": -1}, "less than the 96M"),
    ],
)
def test_a_wrong_limit_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(JobError, match=why):
        job(**options)(process_jobs.pool)


def test_defaults_give_way_to_the_users_own_jobs() -> None:
    mine, theirs = REGISTRY["give"], Registry.of(_named("give"), _named("other"))
    registry = Registry([mine])
    registry.add_defaults(theirs.values())
    assert (registry["give"], registry["other"]) == (mine, theirs["other"])


def _named(name: str) -> Any:
    @job(name=name)
    def named() -> None: ...

    return named


def test_the_order_is_json() -> None:
    order = Order("a", Source("module", "b"), Call("a", [1], {"k": None}), None, {"_id": "x"}, 1, {}, 20)
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
    assert json.loads(msgspec.json.encode(order))["source"] == {"kind": "module", "place": "b"}
