"""The REST interface on a real CouchDB: behind `_rewrite`, and at the root of a virtual host."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rest import TASK
from serving import SECONDS, Answer, Client

from after.design import design_document

URL = os.environ.get("AFTER_TEST_COUCHDB_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="AFTER_TEST_COUCHDB_URL is not set: REST on CouchDB did not run")

IDS = ["a/b", "a+b", "é ü", "..", ".", "%", "a%2Fb", "x?y#z", "a&b=c", "💩", "a\\b", '"']


class Couch(Client):
    """Speaks to CouchDB as its administrator; `base` stands before each path, `host` is the name it is called by."""

    def __init__(self, base: str = "", host: str | None = None) -> None:
        parts = urlsplit(URL)
        super().__init__(parts.hostname or "", parts.port or 5984)
        pair = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {pair}", **({"Host": host} if host else {})}
        self.base = base

    def call(self, method, path, body=None, headers=None, **query) -> Answer:  # type: ignore[no-untyped-def]
        return super().call(method, self.base + path, body, {**self.headers, **(headers or {})}, **query)

    def stream(self, path, body=None, headers=None, **query) -> http.client.HTTPResponse:  # type: ignore[no-untyped-def]
        return super().stream(self.base + path, body, {**self.headers, **(headers or {})}, **query)


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait for what comes within a second: a virtual host, a view of another copy of a shard."""
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The name of a database with the design document, and with tasks."""
    couch, name = Couch(), f"rest-{uuid4().hex[:12]}"
    assert couch.put(f"/{name}", None).status in (201, 202)
    assert couch.put(f"/{name}/_design/after", design_document()).status in (201, 202)
    tasks = [
        {
            **TASK, "_id": f"t{place:02}", "worker": f"w{place % 2}",
            "date": f"2026-12-{place // 4 + 1:02}T00:00:00.000Z",
            "status": ("waiting", "done", "err")[place % 3],
            "tags": ["x"] if place % 4 == 0 else [],
            "history": [{"at": "2026-12-01T00:00:00.000Z", "status": "waiting"}] * place,
        }
        for place in range(30)
    ]  # fmt: skip
    tasks += [{**TASK, "_id": identity, "worker": "odd", "status": "waiting"} for identity in IDS]
    control = {"_id": "worker:w0", "type": "control", "name": "w0", "paused": True, "note": "n"}
    answers = couch.post(f"/{name}/_bulk_docs", {"docs": [*tasks, control]}).json
    assert not [answer for answer in answers if "error" in answer]
    view = f"/{name}/_design/after/_view/by_date"
    eventually(lambda: len(couch.get(view).json["rows"]) == len(tasks))
    yield name
    couch.delete(f"/{name}")
    couch.close()


@pytest.fixture(scope="module")
def host(database: str) -> Iterator[str]:
    """The name of a virtual host for the database, on the node that is asked."""
    couch, name = Couch(), f"{database}.test"
    place = f"/_node/_local/_config/vhosts/{name}"
    assert couch.put(place, f"/{database}/_design/after/_rewrite").status == 200
    virtual = Couch(host=name)
    eventually(lambda: virtual.get("/nothing").json.get("reason") == "no such path")
    virtual.close()
    yield name
    couch.delete(place)
    couch.close()


@pytest.fixture(params=["rewrite", "vhost"])
def couch(request, database: str, host: str) -> Iterator[Couch]:
    """What asks the interface, in both of the ways."""
    asking = Couch(f"/{database}/_design/after/_rewrite") if request.param == "rewrite" else Couch(host=host)
    yield asking
    asking.close()


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 42), ("worker=w0", 15), ("status=done", 10), ("status=done,err", 20), ("worker=w1&status=err", 5),
     ("tag=x", 8), ("from=2026-12-03&to=2026-12-05", 8), ("worker=odd", 12), ("from=2026-12-05&to=2026-12-03", 0)],
)  # fmt: skip
def test_pages_of_a_list_give_each_task_once(couch: Couch, query: str, count: int) -> None:
    found, cursor = [], ""
    while True:
        page = couch.get(f"/tasks?limit=7&{query}{cursor}").json
        found += [(task["date"], task["_id"]) for task in page["tasks"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert len(found) == len(set(found)) == count
    dates = [date for date, _ in found]
    assert dates == sorted(dates)


@pytest.mark.parametrize("path", ["/tasks", "/tasks/", "/tasks/_all_tasks"])
def test_a_list_is_json(couch: Couch, path: str) -> None:
    answer = couch.get(f"{path}?limit=1")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json["tasks"][0]["_id"] == "t00"


@pytest.mark.parametrize("identity", IDS)
def test_any_id_can_be_asked_for(couch: Couch, identity: str) -> None:
    place = quote(identity, safe="")
    task = couch.get(f"/tasks/{place}").json
    assert (task["_id"], task["worker"]) == (identity, "odd")
    assert not task.keys() & {"_revisions", "_conflicts"}
    assert couch.get(f"/tasks/{place}/history").json == {"history": [], "cursor": None}


def test_a_task_has_an_etag(couch: Couch) -> None:
    etag = couch.get("/tasks/t01").headers["ETag"]
    assert couch.get("/tasks/t01", {"If-None-Match": etag}).status == 304


def test_history_comes_in_pages(couch: Couch) -> None:
    first = couch.get("/tasks/t25/history", limit=20).json
    rest = couch.get("/tasks/t25/history", limit=20, cursor=first["cursor"]).json
    assert (len(first["history"]), len(rest["history"]), rest["cursor"]) == (20, 5, None)


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/tasks?limit=1&limit=2", 400, "limit: is given twice"),
        ("/tasks?from=2026-13-01", 400, "from: '2026-13-01' is not an ISO 8601 date"),
        ("/tasks?startkey=1", 400, "startkey: is not a parameter of this request; known: "
         "cursor, from, limit, status, tag, to, worker"),
        ("/tasks/nobody", 404, "there is no task 'nobody'"),
        ("/tasks/nobody/history", 404, "there is no task 'nobody'"),
        ("/tasks/_design%2Fafter", 404, "there is no task '_design/after'"),
        ("/tasks/worker:w0", 404, "there is no task 'worker:w0'"),
        ("/tasks/%ff", 400, "_id: is not UTF-8"),
        ("/tasks/workers/nobody", 404, "there is no worker 'nobody', and no task for one of this name"),
        ("/tasks/a/b", 404, "no such path"),
        ("/nothing", 404, "no such path"),
        ("/tasks/_bulk", 405, "this path does not take this method"),
    ],
)  # fmt: skip
def test_refuses_in_the_embedded_servers_words(couch: Couch, path: str, code: int, reason: str) -> None:
    answer = couch.get(path)
    assert (answer.status, answer.json["reason"]) == (code, reason)


@pytest.mark.parametrize("path", ["/tasks/_audit", "/tasks/_next", "/openapi.json"])
def test_says_what_it_does_not_serve(couch: Couch, path: str) -> None:
    assert (couch.get(path).status, couch.get(path).json["error"]) == (501, "not_implemented")


def test_tells_of_workers(couch: Couch) -> None:
    workers = {worker["name"]: worker for worker in couch.get("/tasks/workers").json["workers"]}
    assert list(workers) == ["odd", "w0", "w1"]
    assert workers["w0"]["tasks"] == {"waiting": 5, "done": 5, "err": 5}
    assert (workers["w0"]["paused"], workers["w0"]["note"], workers["w0"]["state"]) == (True, "n", "down")
    assert couch.get("/tasks/workers/w0").json == workers["w0"]


def test_has_metrics(couch: Couch) -> None:
    answer = couch.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {metric.name: metric for metric in text_string_to_metric_families(answer.content.decode())}
    assert sum(sample.value for sample in families["after_tasks"].samples) == 42


@pytest.mark.parametrize("path", ["/", "/index.html"])
def test_has_a_page(couch: Couch, path: str) -> None:
    answer = couch.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
    assert b"<h1>After</h1>" in answer.content


def test_the_prefix_without_its_slash_leads_to_the_page(database: str) -> None:
    couch = Couch(f"/{database}/_design/after/_rewrite")
    assert (couch.get("").status, couch.get("").headers["Location"]) == (302, "_rewrite/")
    couch.close()


def test_a_task_is_made_changed_and_removed(couch: Couch) -> None:
    place = f"/tasks/new%2F{uuid4().hex[:6]}"
    assert couch.post(place, TASK).status == 201
    assert couch.post(place, {"status": "cancel"}).status in (200, 201)
    assert couch.get(place).json["status"] == "cancel"
    assert couch.post(f"{place}?new_edits=false", TASK).status == 400
    assert couch.delete(place).status in (200, 201)
    assert couch.get(place).status == 404


def test_a_worker_is_paused_and_resumed(couch: Couch) -> None:
    for paused in (True, False):
        assert couch.post("/tasks/workers/w%201", {"paused": paused, "note": "x"}).status in (200, 201)
        eventually(lambda wanted=paused: couch.get("/tasks/workers/w%201").json["paused"] is wanted)
    couch.delete("/tasks/workers/w%201")


def test_the_feed_tells_what_is_wanted(couch: Couch) -> None:
    told = couch.get("/tasks/_changes", status="done,err", worker="w0", include_docs=True).json
    assert {change["doc"]["status"] for change in told["results"]} == {"done", "err"}
    assert len(told["results"]) == 10
    latest = couch.get("/tasks/_changes", descending=True, limit=3, status="err").json
    assert len(latest["results"]) == 3
    assert couch.get("/tasks/_changes", since=told["last_seq"], worker="w0").json["results"] == []


def test_the_feed_waits(couch: Couch) -> None:
    worker = uuid4().hex[:6]
    answer = couch.get("/tasks/_changes", feed="longpoll", since="now", timeout=100, worker=worker)
    assert answer.json["results"] == []
    stream = couch.stream("/tasks/_changes", feed="live", since="now", heartbeat=100, worker=worker, limit=1)
    assert stream.readline() == b"\n"
    couch.post(f"/tasks/{worker}-other", {**TASK, "worker": "other"})
    couch.post(f"/tasks/{worker}", {**TASK, "worker": worker})
    lines = iter(stream.readline, b"")
    change = next(json.loads(line) for line in lines if line.strip())
    assert change["id"] == worker
    for identity in (worker, f"{worker}-other"):
        couch.delete(f"/tasks/{identity}")


def test_the_event_stream_resumes(couch: Couch) -> None:
    stream = couch.stream("/tasks/_changes", feed="eventsource", limit=2, worker="w1", timeout=100)
    assert stream.headers["Content-Type"] == "text/event-stream"
    ids = [line[4:].strip().decode() for line in stream if line.startswith(b"id: ")]
    assert len(ids) == 2
    resumed = couch.stream(
        "/tasks/_changes",
        headers={"Last-Event-ID": ids[0]},
        feed="eventsource",
        limit=1,
        worker="w1",
        timeout=100,
    )
    data = [json.loads(line[6:]) for line in resumed if line.startswith(b"data: {")]
    assert len(data) == 1
    whole = couch.get("/tasks/_changes", worker="w1").json["results"]
    assert data[0]["id"] in {change["id"] for change in whole}


@pytest.mark.parametrize("path", ["/tasks", "/tasks/t01", "/tasks/workers", "/metrics", "/"])
def test_head_has_the_code_and_the_headers(couch: Couch, path: str) -> None:
    """CouchDB sends the content, too, where a rewrite function is used: the connection is good for nothing more."""
    connection = couch.connect()
    connection.request("HEAD", couch.base + path, headers={**couch.headers, "Connection": "close"})
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Type"]) == (200, couch.get(path).headers["Content-Type"])
    connection.close()
