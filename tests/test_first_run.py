"""What `make run` shows, as a process."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commanding import Command, free_port

EXAMPLES = Path(__file__).parent.parent / "examples"


@contextmanager
def first_run(folder: Path, port: int) -> Iterator[Command]:
    shutil.copytree(EXAMPLES, folder / "examples", dirs_exist_ok=True)
    with Command(command=(sys.executable, str(folder / "examples" / "first_run.py"), str(port))) as command:
        yield command


def processes(parent: int) -> set[int]:
    """Give the processes that another has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return {pid for pid, its_parent in pairs if its_parent == parent}


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_task_runs_and_a_signal_ends_all_of_it(tmp_path: Path, number: int) -> None:
    port = free_port()
    with first_run(tmp_path, port) as command:
        for status in ("waiting", "scheduled", "running", "done"):
            command.wait_for(status)
        command.wait_for("curl -X POST")
        command.wait_for("Ctrl-C")
        started = processes(command.process.pid)
        assert len(started) == 2
        assert command.stop(number) == 0
        assert command.err == []
    assert not [pid for pid in started if exists(pid)]
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_it_starts_again_on_its_own_data(tmp_path: Path) -> None:
    port = free_port()
    for runs in (1, 2):
        with first_run(tmp_path, port) as command:
            command.wait_for("curl -X POST")
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/tasks?status=done")
            assert connection.getresponse().read().count(b'"start_campaign"') == runs
            connection.close()
            assert command.stop() == 0


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, first_run(tmp_path, taken.getsockname()[1]) as command:
        assert command.wait() == 1
        (line,) = command.err
        assert "is in use by another program" in line
