"""`after serve` as a process: where it listens, what it refuses, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commanding import Command, after, free_port
from serving import Client

TASK = {"worker": "manobi", "job": "start_campaign", "date": "2100-01-01"}


@contextmanager
def served(data: Path) -> Iterator[tuple[Command, Client, int]]:
    port = free_port()
    with Command("serve", "--port", port, "--data", data) as command:
        command.wait_for("After serves")
        client = Client("127.0.0.1", port)
        yield command, client, port
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_serves_and_a_signal_ends_it_with_its_feeds(tmp_path: Path, number: int) -> None:
    data = tmp_path / "after.db"
    with served(data) as (command, client, port):
        feed = client.stream("/after/_changes", feed="continuous")
        assert client.post("/tasks/seed", TASK).status == 201
        assert json.loads(feed.readline())["id"] == "seed"
        assert command.stop(number) == 0
        assert "last_seq" in json.loads(feed.read())
        assert command.out == [f"After serves http://127.0.0.1:{port}/ from {data}"]
        assert command.err == []
    assert not data.with_name("after.db-wal").exists()


def test_a_request_that_never_ends_does_not_keep_it_up(tmp_path: Path) -> None:
    with (
        served(tmp_path / "after.db") as (command, client, port),
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        half.sendall(b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        half.sendall(b"Content-Length: 100\r\n\r\n{")
        assert client.get("/_up").status == 200
        assert command.stop() == 0


def test_it_does_not_tell_what_it_is_made_of(tmp_path: Path) -> None:
    with served(tmp_path / "after.db") as (_, client, _):
        assert client.get("/").headers["server"] is None


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with served(tmp_path / "after.db") as (command, client, _):
        rev = client.post("/tasks/seed", TASK).json["rev"]
        assert command.stop(signal.SIGKILL) == -signal.SIGKILL
    with served(tmp_path / "after.db") as (_, client, _):
        assert client.get("/tasks/seed").json["_rev"] == rev


def foreign(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (value)")
    connection.close()
    return path


def text(path: Path) -> Path:
    path.write_text("not a database, but somebody's notes")
    return path


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (text, "notes.db cannot be used as a database"),
        (foreign, "notes.db is a SQLite file of another program"),
        (lambda path: path / "after.db", "there is no folder"),
        (lambda path: path.parent, "is a folder"),
    ],
)
def test_a_file_that_is_not_its_own_is_refused_and_left_alone(
    tmp_path: Path, data: Callable[[Path], Path], told: str
) -> None:
    path = data(tmp_path / "notes.db")
    before = path.read_bytes() if path.is_file() else None
    code, out, err = after("serve", "--port", free_port(), "--data", path)
    assert (code, out) == (1, "")
    assert told in err
    assert err.count("\n") == 1
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_port_or_a_file_that_is_taken_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "after.db") as (_, _, port):
        code, out, err = after("serve", "--port", port, "--data", tmp_path / "other.db")
        assert (code, out) == (1, "")
        assert err == f"after: 127.0.0.1:{port} is in use by another program; choose another with --port\n"
        code, out, err = after("serve", "--port", free_port(), "--data", tmp_path / "after.db")
        assert (code, out) == (1, "")
        assert err == f"after: {tmp_path / 'after.db'} is in use by another server\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_without_users_it_listens_on_this_machine_only(tmp_path: Path, host: str) -> None:
    code, out, err = after("serve", "--host", host, "--port", free_port(), "--data", tmp_path / "after.db")
    assert (code, out) == (1, "")
    assert err.startswith(f"after: --host {host}: this server has no users yet")
    assert not (tmp_path / "after.db").exists()
