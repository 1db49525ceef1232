"""A CouchDB for the tests of `after install`, and the command as they use it.

AFTER_TEST_COUCHDB_URL names a CouchDB 3, with name and password of a server admin, and AFTER_TEST_COUCHDB_CLUSTER all
nodes of a cluster, separated by commas. Each test has a database and names of its own, and removes them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from commanding import Result, after
from yarl import URL

from after.design.admin import Server as Couch
from after.errors import Refusal

SINGLE = os.environ.get("AFTER_TEST_COUCHDB_URL")
CLUSTER = os.environ.get("AFTER_TEST_COUCHDB_CLUSTER")
SECRET = "correct horse ä:/@"
needs_couchdb = pytest.mark.skipif(SINGLE is None, reason="AFTER_TEST_COUCHDB_URL is not set: no install into CouchDB")
needs_cluster = pytest.mark.skipif(CLUSTER is None, reason="AFTER_TEST_COUCHDB_CLUSTER is not set: no install on it")


class Place:
    """A database of a CouchDB that is not there yet, and a user's name that nobody has."""

    def __init__(self, server: str) -> None:
        self.name = f"install-{uuid.uuid4().hex[:8]}"
        self.user = f"{self.name}-user"
        self.vhost = f"{self.name}.example.org"
        self.url = f"{server.rstrip('/')}/{self.name}"

    def ask(self, method: str, path: str = "", body: object = None, **query: str) -> Any:
        """Ask the server as its admin; None where nothing is there."""

        async def work() -> Any:
            async with Couch(self.url) as couch:
                return await couch.request(method, path, body, query)

        try:
            return asyncio.run(work())
        except Refusal as error:
            if error.code == 404:
                return None
            raise

    def as_user(self, password: str) -> Place:
        """Give the same place for its user."""
        made = Place("")
        made.__dict__ |= vars(self)
        made.url = str(URL(self.url).with_user(self.user).with_password(password))
        return made

    def snapshot(self) -> list[Any]:
        """Give all that installing may change, with revisions."""
        nodes = self.ask("GET", "_membership")["cluster_nodes"]
        return [
            self.ask("GET", f"{self.name}/_all_docs"),
            self.ask("GET", f"{self.name}/_security"),
            self.ask("GET", f"_users/org.couchdb.user:{self.user}"),
            [self.ask("GET", f"_node/{node}/_config/{section}") for node in nodes for section in ("vhosts", "csp")],
        ]

    def clean(self) -> None:
        self.ask("DELETE", self.name)
        if user := self.ask("GET", f"_users/org.couchdb.user:{self.user}"):
            self.ask("DELETE", f"_users/{user['_id']}", rev=user["_rev"])
        for node in self.ask("GET", "_membership")["cluster_nodes"]:
            self.ask("DELETE", f"_node/{node}/_config/vhosts/{self.vhost}")


@contextmanager
def single() -> Iterator[Place]:
    assert SINGLE is not None
    made = Place(SINGLE)
    yield made
    made.clean()


@contextmanager
def cluster() -> Iterator[list[Place]]:
    """One place, seen from each node of a cluster, whose settings are put back."""
    assert CLUSTER is not None
    places = [Place(url) for url in CLUSTER.split(",")]
    for other in places[1:]:
        other.name, other.user, other.vhost = places[0].name, places[0].user, places[0].vhost
        other.url = str(URL(other.url).parent / other.name)
    first, names = places[0], places[0].ask("GET", "_membership")["cluster_nodes"]
    paths = [f"_node/{name}/_config/csp/attachments_enable" for name in names]
    before = {path: first.ask("GET", path) for path in paths}
    for path in paths:
        first.ask("DELETE", path)
    yield places
    for path, value in before.items():
        first.ask("DELETE", path) if value is None else first.ask("PUT", path, value)
    first.clean()


def install(place: Place, *options: object, password: str = SECRET) -> Result:
    done = after(
        "install", place.url, "--user", place.user, "--password-file", "-", *options, given=f"{password}\nmore"
    )
    told = done.out + done.err
    assert password not in told
    assert (URL(place.url).password or "?") not in told
    return done


def levels(place: Place) -> dict[tuple[str, str], str]:
    """Give what the doctor says of each thing, by level."""
    found = json.loads(after("doctor", "--json", url=place.url).out)
    return {(one["what"], one["level"]): one["found"] for one in found}


def typed(arguments: list[str], answers: list[str]) -> str:
    """Run a command at a terminal, give each answer when it asks, and give all that the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "after", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    shown, asked, left = "", 0, list(answers)
    while True:
        try:
            shown += os.read(ours, 1024).decode()
        except OSError:  # the other end is closed
            break
        if left and shown[asked:].endswith(": "):
            asked = len(shown)
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    assert process.wait(30) == 0, shown
    return shown
