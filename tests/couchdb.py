"""An Apache CouchDB for tests: databases with After's design document, and users who write to them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest
from serving import SECONDS, Client

from after.design import design_document

VARIABLE = "AFTER_TEST_COUCHDB_URL"
URL = os.environ.get(VARIABLE)
"""A server and an administrator of it: `http://admin:secret@127.0.0.1:5984`. None where there is none to test with."""
CLUSTER = [url for url in os.environ.get("AFTER_TEST_COUCHDB_CLUSTER", "").split(",") if url]
"""The nodes of a cluster, each as the server above."""

ROLES = ("client", "worker")
REST = ("/tasks", "/metrics", "/openapi.json")
"""What the embedded server has at its root and CouchDB behind the design document's rewrites."""


def skipping(what: str) -> pytest.MarkDecorator:
    """Give the mark of tests that need a CouchDB; `what` is what stays untested without one."""
    return pytest.mark.skipif(URL is None, reason=f"{VARIABLE} is not set: {what} did not run")


def request(url: str, method: str = "GET", body: Any = None) -> Any:
    """Send a request under the account in the URL and give the answer's JSON; raise `HTTPError` for a refusal."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    headers = {"Content-Type": "application/json", **account(url)}
    sent = urllib.request.Request(bare, None if body is None else json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(sent, timeout=SECONDS) as answer:
        return json.load(answer)


@contextmanager
def database(server: str, *, installed: bool = True) -> Iterator[str]:
    """Make a database on a server and give its URL, account included; with the design document where `installed`."""
    url = f"{server.rstrip('/')}/after-test-{uuid.uuid4().hex[:12]}"
    request(url, "PUT")
    try:
        if installed:
            request(f"{url}/_design/after", "PUT", design_document())
            request(f"{url}/_design/after/_view/due?limit=0")
        yield url
    finally:
        request(url, "DELETE")


@contextmanager
def administered() -> Iterator[tuple[Client, str]]:
    """Give a client that speaks as the administrator, and the name of a new empty database, which goes with it."""
    assert URL is not None
    parts = urlsplit(URL)
    speaking = Client(parts.hostname or "", parts.port or 5984, lambda path: (path, account(str(URL))))
    with database(URL, installed=False) as url:
        yield speaking, url.rpartition("/")[2]
    speaking.close()


class CouchDB:
    """A server, and two users of it, one in each role, who go when it is closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host, self.port = parts.hostname, parts.port or 5984
        self._admin = account(url)
        self._connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        mark = uuid.uuid4().hex[:12]
        self._users = {role: f"conformance-{mark}-{role}" for role in ROLES}
        self.headers = {role: _basic(name, mark) for role, name in self._users.items()}
        for role, name in self._users.items():
            user = {"name": name, "password": mark, "roles": [role], "type": "user"}
            self.call("PUT", f"/_users/org.couchdb.user:{name}", user)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask as the administrator, and give the answer; raise `AssertionError` for an error."""
        headers = {**self._admin, "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        told = json.loads(response.read())
        assert response.status < 300, f"{method} {path}: {response.status} {told}"
        return told

    def database(self) -> CouchDatabase:
        """Make a database as an installation makes it."""
        return CouchDatabase(self)

    def close(self) -> None:
        """Take the users back."""
        self._connection.close()  # CouchDB has ended it long ago where it was idle; the next request opens it anew
        for name in self._users.values():
            place = f"/_users/org.couchdb.user:{name}"
            self.call("DELETE", f"{place}?rev={self.call('GET', place)['_rev']}")
        self._connection.close()


class CouchDatabase:
    """A database with the design document, reached by the embedded server's paths; it goes when it is stopped.

    REST is used as a client, the document protocol as a worker unless the route is told another role.
    """

    def __init__(self, couch: CouchDB) -> None:
        self._couch = couch
        self.host, self.port = couch.host, couch.port
        self.seconds = 10 * SECONDS  # JavaScript judges each document
        self.name = f"conformance-{uuid.uuid4().hex}"
        couch.call("PUT", f"/{self.name}?q=1&n=1")  # one shard in one copy: changes in order, views that do not lag
        names: dict[str, list[str]] = {"names": [], "roles": []}
        members = {"admins": names | {"roles": ["_admin"]}, "members": names | {"roles": list(ROLES)}}
        couch.call("PUT", f"/{self.name}/_security", members)
        couch.call("PUT", f"/{self.name}/_design/after", design_document())

    def route(self, path: str, role: str = "worker") -> tuple[str, dict[str, str]]:
        """Give CouchDB's path for one of the embedded server, and who asks."""
        if path.startswith(REST):
            return f"/{self.name}/_design/after/_rewrite{path}", self._couch.headers["client"]
        if path.startswith("/after"):
            return f"/{self.name}{path.removeprefix('/after')}", self._couch.headers[role]
        return path, self._couch.headers[role]

    def as_client(self, path: str) -> tuple[str, dict[str, str]]:
        """Be the route of somebody who may not act as a worker anywhere."""
        return self.route(path, "client")

    def stop(self) -> None:
        """Delete the database."""
        self._couch.call("DELETE", f"/{self.name}")


def account(url: str) -> dict[str, str]:
    """Give the header by which the account in a URL is told."""
    parts = urlsplit(url)
    return _basic(unquote(parts.username), unquote(parts.password or "")) if parts.username else {}


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
