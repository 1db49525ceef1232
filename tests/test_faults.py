"""What a crash leaves behind: real processes, killed with SIGKILL in the middle of their work."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commanding import SECONDS, Command, free_port
from working import story, until

from after.client import Client
from after.task import Document

JOBS = """
import asyncio
import os
from pathlib import Path

from after import job


@job
async def run(folder, *, task):
    with (Path(folder) / "runs").open("a") as runs:
        runs.write(task.id + "\\n")
    while (Path(folder) / "hold").exists():
        await asyncio.sleep(0.005)
    return task.attempt


@job(retry={"on_lost": False})
async def at_most_once(folder, *, task):
    return await run(folder, task=task)
"""


@contextmanager
def serving(port: int, data: Path) -> Iterator[Command]:
    with Command("serve", "--port", port, "--data", data) as server:
        server.wait_for("After serves")
        yield server


@contextmanager
def working(port: int, folder: Path, *options: str) -> Iterator[Command]:
    jobs = folder / "crash_jobs.py"
    jobs.write_text(JOBS)
    with Command("start", "manobi", "--jobs", jobs, *options, url=f"http://127.0.0.1:{port}/after") as worker:
        worker.wait_for("started as")
        yield worker


class Storm:
    """Threads that post tasks one by one as fast as they can, and note which were acknowledged."""

    def __init__(self, port: int, threads: int = 8) -> None:
        self._port = port
        self.acknowledged: list[str] = []
        self._enough = threading.Condition()
        self._threads = [threading.Thread(target=self._post, args=(n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        with self._enough:
            assert self._enough.wait_for(lambda: len(self.acknowledged) >= count, SECONDS)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(SECONDS)

    def _post(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        body = json.dumps({"worker": "nobody", "job": "none", "date": "2100-01-01"})
        try:
            for count in range(100_000):
                path = f"/tasks/{number}-{count}"
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 201
                with self._enough:
                    self.acknowledged.append(f"{number}-{count}")
                    self._enough.notify_all()
        except (OSError, http.client.HTTPException):
            pass  # the server was killed, which is what this is about
        finally:
            connection.close()


async def test_what_was_acknowledged_survives_the_death_of_the_server(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "after.db"
    with serving(port, data) as server:
        storm = Storm(port)
        storm.wait_for(1_000)
        server.process.kill()
        storm.join()
    checked = sqlite3.connect(data)
    assert checked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    checked.close()
    with serving(port, data):
        async with Client(f"http://127.0.0.1:{port}/after") as client:
            stored = {task["_id"] for task in await client.list(limit=None)}
    assert len(storm.acknowledged) >= 1_000
    assert stored >= set(storm.acknowledged)


async def test_what_a_dead_worker_held_is_done_by_the_next(tmp_path: Path) -> None:
    port, hold = free_port(), tmp_path / "hold"
    hold.touch()
    with serving(port, tmp_path / "after.db"):
        async with Client(f"http://127.0.0.1:{port}/after") as client:
            tasks = [_task("run", tmp_path, n) for n in range(40)]
            await client.schedule_many(tasks)
            with working(port, tmp_path, "--concurrency", "20") as worker:
                for n in range(20):
                    await until(client, f"run-{n}", "running")
                worker.process.kill()
                worker.process.wait()
            hold.unlink()
            with working(port, tmp_path):
                ended = [await client.wait(task["_id"], SECONDS) for task in tasks]
    runs = (tmp_path / "runs").read_text().split()
    assert {task["status"] for task in ended} == {"done"}
    for task in ended:
        number = runs.count(task["_id"])
        assert task["result"] == task["attempt"] == number, "what ran twice is visible"
        if number == 2:
            assert story(task) == ["waiting", "scheduled", "running", "waiting", "scheduled", "done"]
            assert "died while it ran" in task["history"][3]["note"]
    assert len(runs) == 60


async def test_a_task_that_runs_at_most_once_is_not_run_again(tmp_path: Path) -> None:
    port, hold = free_port(), tmp_path / "hold"
    hold.touch()
    with serving(port, tmp_path / "after.db"):
        async with Client(f"http://127.0.0.1:{port}/after") as client:
            await client.schedule_many([_task("at_most_once", tmp_path, 0)])
            with working(port, tmp_path) as worker:
                await until(client, "at_most_once-0", "running")
                worker.process.kill()
                worker.process.wait()
            with working(port, tmp_path):
                task = await client.wait("at_most_once-0", SECONDS)
    assert (task["status"], task["error"]["type"]) == ("err", "Lost")
    assert (tmp_path / "runs").read_text().split() == ["at_most_once-0"]


async def test_outcomes_wait_for_an_engine_that_is_away(tmp_path: Path) -> None:
    port, hold, data = free_port(), tmp_path / "hold", tmp_path / "after.db"
    hold.touch()
    with working_before_its_engine(port, tmp_path) as worker:
        with serving(port, data) as server:
            worker.wait_for("started as")
            async with Client(f"http://127.0.0.1:{port}/after") as client:
                await client.schedule_many([_task("run", tmp_path, n) for n in range(10)])
                for n in range(10):
                    await until(client, f"run-{n}", "running")
            server.process.kill()
            server.process.wait()
        hold.unlink()
        worker.wait_for("did not take")
        with serving(port, data):
            async with Client(f"http://127.0.0.1:{port}/after") as client:
                await client.schedule_many([_task("run", tmp_path, 10)])
                ended = [await client.wait(f"run-{n}", SECONDS) for n in range(11)]
            assert worker.stop(signal.SIGTERM) == 0
    assert [task["status"] for task in ended] == ["done"] * 11
    assert sorted((tmp_path / "runs").read_text().split()) == sorted(f"run-{n}" for n in range(11)), "each ran once"


@contextmanager
def working_before_its_engine(port: int, folder: Path) -> Iterator[Command]:
    jobs = folder / "crash_jobs.py"
    jobs.write_text(JOBS)
    with Command("start", "manobi", "--jobs", jobs, url=f"http://127.0.0.1:{port}/after") as worker:
        worker.wait_for("waiting for the engine")
        yield worker


def _task(name: str, folder: Path, number: int) -> Document:
    job = {"name": name, "arguments": [str(folder)]}
    return {"_id": f"{name}-{number}", "worker": "manobi", "job": job, "date": f"2011-10-12T00:00:{number:02}Z"}


async def test_a_client_that_waits_outlives_its_engine(tmp_path: Path) -> None:
    port, hold, data = free_port(), tmp_path / "hold", tmp_path / "after.db"
    hold.touch()
    async with Client(f"http://127.0.0.1:{port}/after") as client:
        with serving(port, data) as server, working(port, tmp_path) as worker:
            await client.schedule_many([_task("run", tmp_path, 0)])
            waiting = asyncio.create_task(client.wait("run-0", SECONDS))
            await until(client, "run-0", "running")
            server.process.kill()
            server.process.wait()
            hold.unlink()
            worker.wait_for("did not take")
            with serving(port, data):
                assert (await waiting)["status"] == "done"
