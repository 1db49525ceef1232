"""Fixtures for all tests. What they are made of is loaded only where it is used: most tests need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from serving import Client, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server on a database of its own."""
    from serving import Server

    running = Server(tmp_path / "after.db")
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """What speaks HTTP to the server."""
    from serving import Client

    speaking = Client(server.host, server.port)
    yield speaking
    speaking.close()


@pytest.fixture
def couchdb() -> Iterator[str]:
    """The URL of a fresh database, with After's design document, on a real CouchDB."""
    from couchdb import SERVER, database

    if not SERVER:
        pytest.skip("AFTER_TEST_COUCHDB_URL is not set: this was not run against CouchDB")
    with database(SERVER) as url:
        yield url


@pytest.fixture
def cluster() -> Iterator[list[str]]:
    """The URLs of a fresh database, with After's design document, on each node of a real cluster."""
    from couchdb import CLUSTER, database

    if len(CLUSTER) < 3:
        pytest.skip("AFTER_TEST_COUCHDB_CLUSTER does not name three nodes: this was not run against a cluster")
    with database(CLUSTER[0]) as url:
        name = url.rpartition("/")[2]
        yield [f"{server.rstrip('/')}/{name}" for server in CLUSTER]
