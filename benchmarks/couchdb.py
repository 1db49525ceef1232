"""Apache CouchDB as the engine: what its bulk writes take alone, and tasks from posted to done on it.

It runs where AFTER_TEST_COUCHDB_URL names a server, with an administrator's name and password in it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from after.design import design_document
from after.events import Claimed, Ended, Started
from after.lifecycle import apply, create
from after.outcome import Done
from after.task import Document
from benchmarks.processes import NAME, report, working

VARIABLE = "AFTER_TEST_COUCHDB_URL"
TASKS, BULK = 5_000, 1_000
RUNS = 3
INSTANCE = "host.1234.abcdef12"
LOOK_SECONDS = 0.5
"""Between two looks for the end: each has CouchDB bring its index up to date, which takes from what is measured."""


class CouchDB:
    """A database of its own on the server at `url`, with After's design document in it."""

    def __init__(self, url: str, *, validation: bool) -> None:
        self.name = f"after-benchmark-{uuid.uuid4().hex[:8]}"
        self.url = f"{url.rstrip('/')}/{self.name}"
        parts = urlsplit(url)
        credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self._headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
        self._address = str(parts.hostname), parts.port or 5984
        self.ask("PUT", "")
        self.ask("PUT", "/_design/after", design_document(validation=validation))

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to a path below the database and give the answer."""
        content = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection(*self._address, timeout=300)) as connection:
            connection.request(method, f"/{self.name}{path}", content, self._headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        assert response.status < 400, answer
        return answer

    def put(self, documents: list[Document]) -> list[Document]:
        """Write documents, BULK a request, and give them with their new revisions."""
        written: list[Document] = []
        for start in range(0, len(documents), BULK):
            part = documents[start : start + BULK]
            answers = self.ask("POST", "/_bulk_docs", {"docs": part})
            assert all("ok" in answer for answer in answers), answers
            written += [{**document, "_rev": answer["rev"]} for document, answer in zip(part, answers, strict=True)]
        return written

    def workers(self) -> list[dict[str, Any]]:
        """Give what `GET /tasks/workers` says."""
        workers: list[dict[str, Any]] = self.ask("GET", "/_design/after/_rewrite/tasks/workers")["workers"]
        return workers

    def done(self) -> int:
        """Give how many tasks are done."""
        query = urlencode({"startkey": json.dumps([NAME, "done"]), "endkey": json.dumps([NAME, "done", {}])})
        rows = self.ask("GET", f"/_design/after/_view/by_worker?{query}")["rows"]
        return sum(row["value"] for row in rows)


@contextmanager
def database(*, validation: bool) -> Iterator[CouchDB]:
    """Give a new database for the length of a block."""
    couchdb = CouchDB(os.environ[VARIABLE], validation=validation)
    try:
        yield couchdb
    finally:
        couchdb.ask("DELETE", "")


def new_tasks(date: str, count: int) -> list[Document]:
    """Give new tasks as the client puts them."""
    made = create({"worker": NAME, "job": "nothing", "date": date}, round(time.time() * 1000))
    return [{"_id": uuid.uuid4().hex, **made} for _ in range(count)]


def bulk(*, validation: bool) -> tuple[float, float]:
    """Give how many tasks a second CouchDB takes over one connection, and how many it brings through both their writes.

    The two writes are those of a worker, the claim and the outcome, without the worker.
    """
    with database(validation=validation) as couchdb:
        new = new_tasks("2020-01-01", TASKS)
        began = time.perf_counter()
        new = couchdb.put(new)
        put = time.perf_counter()
        held = couchdb.put([apply(task, Claimed(INSTANCE), 1) for task in new])
        couchdb.put([apply(task, Ended(INSTANCE, Done(None), Started(INSTANCE, 2, 1.0)), 3) for task in held])
        return TASKS / (put - began), TASKS / (time.perf_counter() - put)


def posted_to_done(*, validation: bool) -> float:
    """Give how many tasks a second a worker brings from posted to done."""
    with database(validation=validation) as couchdb, working(couchdb):
        documents = new_tasks("2020-01-01", TASKS)
        began = time.perf_counter()
        couchdb.put(documents)
        while couchdb.done() < TASKS:
            time.sleep(LOOK_SECONDS)
        return TASKS / (time.perf_counter() - began)


def main() -> None:
    """Print the rates, with the rules in the database and without them."""
    if VARIABLE not in os.environ:
        print(f"not run: {VARIABLE} names no server")
        return
    for validation in (True, False):
        told = "with validation" if validation else "without validation"
        alone, done = [], []
        for _ in range(RUNS):
            alone.append(bulk(validation=validation))
            done.append(posted_to_done(validation=validation))
        report(f"CouchDB alone, new tasks, {told}", [new for new, _ in alone], "tasks/s")
        report("  claim and outcome of tasks", [both for _, both in alone], "tasks/s")
        report(f"posted to done on CouchDB, {told}", done, "tasks/s")
        shares = [ours / both for ours, (_, both) in zip(done, alone, strict=True)]
        report("  of what the two writes a task allow", shares, "", "(aim 0.333)")
