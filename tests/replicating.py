"""A real CouchDB for tests, where `AFTER_TEST_COUCHDB_URL` names one, a server's URL with an administrator in it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from serving import Client

VARIABLE = "AFTER_TEST_COUCHDB_URL"


class CouchDB(Client):
    """Speaks HTTP to a CouchDB as its administrator."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__(parts.hostname or "", parts.port or 5984)
        self.url = url.rstrip("/")
        pair = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}

    def call(self, method, path, body=None, headers=None, **query):  # type: ignore[no-untyped-def]
        """Send a request as the administrator."""
        return super().call(method, path, body, {**self._headers, **(headers or {})}, **query)


def skipping(what: str) -> pytest.MarkDecorator:
    """Give the mark of tests that need a CouchDB; `what` is what stays untested without one."""
    return pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: {what} did not run")


@contextmanager
def database() -> Iterator[tuple[CouchDB, str]]:
    """Give a CouchDB and the name of a new database there, which goes in the end."""
    couchdb = CouchDB(os.environ[VARIABLE])
    name = f"replication-{uuid4().hex[:12]}"
    assert couchdb.put(f"/{name}", None).status in (201, 202)
    try:
        yield couchdb, name
    finally:
        couchdb.delete(f"/{name}")
        couchdb.close()
