"""`after start` as a process, and the commands that reach it through the database: `stop`, `pause`, `resume`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commanding import JOBS, SECONDS, Command, after, free_port

from after.blocking import BlockingClient
from after.clock import SystemClock, now
from after.dates import format_instant
from after.task import Document

if TYPE_CHECKING:
    from serving import Server


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A file of jobs."""
    path = tmp_path / "jobs_of_the_tests.py"
    path.write_text(JOBS)
    return path


@pytest.fixture
def tasks(server: Server) -> Iterator[BlockingClient]:
    """What puts tasks and waits for them."""
    with BlockingClient(server.database) as client:
        yield client


def started(server: Server, jobs: Path, *options: object) -> Command:
    command = Command("start", "manobi", "--jobs", jobs, *options, url=server.database)
    command.wait_for("worker manobi started")
    return command


def until(tasks: BlockingClient, identity: str, status: str) -> Document:
    task = tasks.get(identity)
    changes = tasks.changes(since=0)
    while task["_id"] != identity or task["status"] != status:
        task = next(changes)
    return task


def test_it_runs_tasks_and_gives_back_what_it_held_when_it_is_stopped(
    server: Server, jobs: Path, tasks: BlockingClient
) -> None:
    with started(server, jobs) as command:
        assert tasks.wait(tasks.schedule("manobi", "give", 5)["_id"], SECONDS)["result"] == 5
        tasks.schedule("manobi", "give", 6, date="PT9S", id="later")
        until(tasks, "later", "scheduled")
        assert command.stop() == 0
    assert tasks.get("later")["status"] == "waiting"
    (worker,) = json.loads(after("list", "--json", url=server.database).out)
    assert worker["state"] == "stopped"
    assert [one["state"] for one in worker["instances"]] == ["stopped"]


def test_a_second_signal_ends_it_at_once(server: Server, jobs: Path, tasks: BlockingClient) -> None:
    with started(server, jobs) as command:
        tasks.schedule("manobi", "wait_for_ever", id="endless")
        until(tasks, "endless", "running")
        command.process.send_signal(signal.SIGINT)
        command.wait_for("1 jobs are still running")
        assert command.stop(signal.SIGINT) == 0
    assert tasks.get("endless")["status"] == "waiting"


def test_a_job_that_hangs_in_a_thread_does_not_keep_it_up(server: Server, jobs: Path, tasks: BlockingClient) -> None:
    with started(server, jobs, "--grace", 0) as command:
        tasks.schedule("manobi", "hang_in_thread", id="hanging")
        until(tasks, "hanging", "running")
        assert command.stop() == 0
        assert command.has("1 jobs still hang in threads", 0)


def test_it_waits_for_an_engine_that_is_not_up_yet(tmp_path: Path, jobs: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/after"
    with Command("start", "manobi", "--jobs", jobs, url=url) as worker:
        worker.wait_for("waiting for the engine")
        with Command("serve", "--port", port, "--data", tmp_path / "after.db") as server:
            worker.wait_for("worker manobi started")
            assert sum("waiting for the engine" in line for line in worker.err) == 1
            assert worker.stop() == 0
            assert server.stop() == 0


def test_it_can_be_stopped_while_it_waits_for_the_engine(jobs: Path) -> None:
    with Command("start", "manobi", "--jobs", jobs, url=f"http://127.0.0.1:{free_port()}/after") as worker:
        worker.wait_for("waiting for the engine")
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("VALUE = 1", "has no function decorated with @job"),
        ("from after import job\n@job(timeout='soon')\ndef late(): ...", "'soon' is not an ISO 8601 duration"),
    ],
)
def test_jobs_that_do_not_load_are_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "broken_jobs.py"
    path.write_text(text)
    code, out, err = after("start", "manobi", "--jobs", path)
    assert (code, out) == (1, "")
    assert told in err
    assert err.startswith("after: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("source", ["no.such.module", "./no_such_file.py"])
def test_jobs_that_are_not_there_are_one_line(source: str) -> None:
    code, out, err = after("start", "manobi", "--jobs", source)
    assert (code, out) == (1, "")
    assert source in err
    assert err.count("\n") == 1


def test_stop_stops_it_from_elsewhere(server: Server, jobs: Path) -> None:
    with started(server, jobs) as first, started(server, jobs) as second:
        code, out, _ = after("stop", "manobi", url=server.database)
        assert (code, out) == (0, "manobi is stopped\n")
        assert first.wait() == 0
        assert second.wait() == 0
    with started(server, jobs) as third:
        (worker,) = json.loads(after("list", "--json", url=server.database).out)
        assert worker["state"] == "running"
        assert third.stop() == 0


def test_stop_tells_when_a_job_goes_on(server: Server, jobs: Path, tasks: BlockingClient) -> None:
    with started(server, jobs) as command:
        tasks.schedule("manobi", "wait_for_ever", id="endless")
        until(tasks, "endless", "running")
        assert after("stop", "manobi", "--no-wait", url=server.database)[:2] == (0, "manobi is asked to stop\n")
        command.wait_for("1 jobs are still running")
        code, _, err = after("stop", "manobi", "--timeout", 0.1, url=server.database)
        assert (code, err) == (1, "after: manobi has not stopped in 0.1 s; its jobs may still run\n")
        assert command.stop() == 0


def test_stop_of_a_worker_that_nobody_knows_is_not_found(server: Server) -> None:
    assert after("stop", "nobody", url=server.database).code == 4


def test_a_paused_worker_runs_nothing_until_it_is_resumed(server: Server, jobs: Path, tasks: BlockingClient) -> None:
    with started(server, jobs) as command:
        assert after("pause", "manobi", "--note", "moving the shop", url=server.database).code == 0
        command.wait_for("worker manobi is paused: moving the shop")
        tasks.schedule("manobi", "give", 1, id="meanwhile")
        (worker,) = json.loads(after("list", "--json", url=server.database).out)
        assert (worker["paused"], worker["note"], worker["tasks"]) == (True, "moving the shop", {"waiting": 1})
        resumed = format_instant(now(SystemClock()))
        assert after("resume", "manobi", url=server.database).code == 0
        history = tasks.wait("meanwhile", SECONDS)["history"]
        assert [entry["status"] for entry in history][-1] == "done"
        assert history[1]["at"] >= resumed
        assert command.stop() == 0
