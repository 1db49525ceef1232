"""Fixtures for all tests. What they are made of is loaded only where it is used: most tests need no server."""

from __future__ import annotations

import os
from collections import Counter
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
    from couchdb import URL, database

    if URL is None:
        pytest.skip("AFTER_TEST_COUCHDB_URL is not set: this was not run against CouchDB")
    with database(URL) as url:
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the conformance suite each engine has passed, and loudly where CouchDB had none."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            engine = dict(getattr(report, "user_properties", ())).get("engine")
            if engine is not None and (outcome != "passed" or report.when == "call"):
                counts[engine, outcome] += 1
    if not counts:
        return
    told = [f"{engine} {_told(counts, engine)}" for engine in ("memory", "file", "couchdb") if _told(counts, engine)]
    terminalreporter.write_line(f"conformance: {', '.join(told)}")
    if "AFTER_TEST_COUCHDB_URL" not in os.environ:
        terminalreporter.write_line("CouchDB conformance: NOT RUN, set AFTER_TEST_COUCHDB_URL", yellow=True, bold=True)


def _told(counts: Counter[tuple[str, str]], engine: str) -> str:
    words = {
        "passed": "passed",
        "failed": "FAILED",
        "error": "BROKEN",
        "xfailed": "differ as told",
        "skipped": "skipped",
    }
    return ", ".join(f"{counts[engine, name]} {word}" for name, word in words.items() if counts[engine, name])
