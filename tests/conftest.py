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
