"""A database file of an earlier After is brought to the form of this one when it is opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Client, Server, speaking

from after.errors import AfterError
from after.server import sql
from after.server.migration import CHUNK
from after.server.store import Store

VIEW = "/after/_design/after/_view"
FIRST = """
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE document (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,
    rev       TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    deleted   INTEGER NOT NULL,
    ancestry  TEXT NOT NULL,               -- hashes of earlier revisions, newest first
    conflicts INTEGER NOT NULL DEFAULT 0,  -- how many rows of `leaf` belong to it
    worker    TEXT,
    status    TEXT,
    date      INTEGER,                     -- ms since the epoch
    due       INTEGER,                     -- when a worker has to act on it next; NULL when nobody has to
    instance  TEXT,                        -- the worker process that holds it
    body      BLOB NOT NULL                -- JSON without _id and _rev
);
CREATE UNIQUE INDEX document_id ON document (id);
CREATE INDEX document_seq ON document (seq);
CREATE INDEX document_due ON document (worker, due, id) WHERE due IS NOT NULL;
CREATE INDEX document_held ON document (worker, instance, id) WHERE instance IS NOT NULL;
CREATE INDEX document_date ON document (date, id) WHERE status IS NOT NULL;
CREATE INDEX document_status ON document (status, date, id) WHERE status IS NOT NULL;
CREATE INDEX document_worker ON document (worker, status, date, id) WHERE status IS NOT NULL;
CREATE INDEX document_conflicts ON document (id) WHERE conflicts > 0;
CREATE TABLE leaf (
    id       TEXT NOT NULL,
    rev      TEXT NOT NULL,
    deleted  INTEGER NOT NULL,
    ancestry TEXT NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (id, rev)
) WITHOUT ROWID;
CREATE TABLE tally (
    worker TEXT NOT NULL,
    status TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (worker, status)
) WITHOUT ROWID;
CREATE TABLE local (id TEXT PRIMARY KEY, rev TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO property VALUES ('uuid', '0123456789abcdef0123456789abcdef');
PRAGMA user_version = 1;
PRAGMA application_id = 1634104434;
"""
"""What version 1 made of a new file."""

DAY = 86_400_000
CLAIM = {"instance": "i", "at": "2026-12-01"}
TASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "first": {"attempt": 1, "status": "running", "claim": CLAIM},
    "once": {"attempt": 1, "status": "done"},
    "twice": {"attempt": 2, "status": "done"},
    # Version 1 refused these fields; a file that has them all the same is read for what it says.
    "blocked": {"after": ["plain", "once", "plain"], "key": "k"},
    "ready": {"after": ["once"], "ready": True, "key": "k"},
    "held": {"key": "k", "status": "scheduled", "claim": CLAIM},
    "repeats": {"repeat": {"interval": "P1D"}},
    "wrong": {"key": "", "attempt": 2},
    "inner": {"own": {"attempt": 5, "key": "k", "after": ["x"]}},
}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a file to write to, and close it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def insert(connection: sqlite3.Connection, identity: str, document: Any, keys: tuple[Any, ...]) -> None:
    columns = "id, rev, seq, deleted, ancestry, worker, status, date, due, instance, body"
    (seq,) = connection.execute("SELECT count(*) + 1 FROM document").fetchone()
    body = json.dumps(document, separators=(",", ":")).encode()
    values = (identity, f"1-{seq:032x}", seq, 0, "", *keys, body)
    connection.execute(f"INSERT INTO document ({columns}) VALUES ({', '.join('?' * 11)})", values)


def task(connection: sqlite3.Connection, identity: str, **fields: Any) -> None:
    document = {"type": "task", "worker": "w", "job": "j", "date": "1970-01-02", "status": "waiting", **fields}
    status = document["status"]
    holder = CLAIM["instance"] if "claim" in document else None
    insert(connection, identity, document, ("w", status, DAY, DAY if status == "waiting" else None, holder))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of version 1 with TASKS and what is none."""
    path = tmp_path / "after.db"
    with opened(path) as connection:
        connection.executescript(FIRST)
        for identity, fields in TASKS.items():
            task(connection, identity, **fields)
        insert(connection, "note", {"attempt": 5, "key": "k", "after": ["plain"]}, (None,) * 5)
        connection.execute("INSERT INTO tally SELECT 'w', status, count(*) FROM document WHERE status <> '' GROUP BY 2")
    return path


@contextmanager
def serving(path: Path) -> Iterator[Client]:
    server = Server(path)
    client = speaking(server)
    yield client
    client.close()
    server.stop()


def rows(client: Client, view: str) -> list[tuple[Any, str]]:
    return [(row["key"], row["id"]) for row in client.get(f"{VIEW}/{view}").json["rows"]]


def test_a_file_of_version_1_is_opened_and_its_tasks_are_found(path: Path) -> None:
    for _ in range(2):
        with serving(path) as client:
            assert rows(client, "blocked") == [(["once"], "blocked"), (["plain"], "blocked")]
            assert rows(client, "keyed") == [(["w", "k", 0, DAY], "held"), (["w", "k", 1, DAY], "ready")]
            assert rows(client, "moved") == [([DAY], identity) for identity in ("first", "repeats", "twice")]
            assert [identity for _, identity in rows(client, "due")] == ["inner", "plain", "ready", "repeats", "wrong"]
            assert client.get("/tasks/twice").json["attempt"] == 2
            assert client.get("/tasks/workers/w").json["tasks"]["done"] == 2
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (sql.SCHEMA_VERSION,)


def test_it_is_written_to_as_any_other(path: Path) -> None:
    with serving(path) as client:
        task = client.get("/after/blocked").json
        assert client.put("/after/blocked", {**task, "ready": True}).status == 201
        assert rows(client, "blocked") == []
        assert client.post("/tasks/new", {"worker": "w", "job": "j", "after": ["plain"]}).status == 201
        assert rows(client, "blocked") == [(["plain"], "new")]


def test_it_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    with serving(path), serving(tmp_path / "new.db"):
        pass
    shapes = []
    for file in (path, tmp_path / "new.db"):
        with opened(file) as connection:
            columns = connection.execute("SELECT name, type FROM pragma_table_info('document')").fetchall()
            objects = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2"
            indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY 1")
            shapes.append((columns, connection.execute(objects).fetchall(), indexes.fetchall()))
    assert shapes[0] == shapes[1]


def test_more_than_a_chunk(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("BEGIN")
        for number in range(2 * CHUNK):
            task(connection, f"t{number:05}", attempt=2, after=["x"])
        connection.execute("COMMIT")
    with serving(path) as client:
        assert len(rows(client, "moved")) == len(rows(client, "blocked")) + 1 == 2 * CHUNK + 3


async def test_one_that_cannot_be_brought_over_stays_as_it_is(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("CREATE TABLE dependency (mine)")
    with pytest.raises(AfterError, match="cannot be used as a database"):
        await Store(path).__aenter__()
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert len(connection.execute("SELECT name FROM pragma_table_info('document')").fetchall()) == 13


@pytest.mark.parametrize("version", [0, sql.SCHEMA_VERSION + 1])
async def test_a_version_that_is_not_known_is_refused(path: Path, version: int) -> None:
    with opened(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(AfterError, match=f"has the schema {version}, this After reads {sql.SCHEMA_VERSION}"):
        await Store(path).__aenter__()
