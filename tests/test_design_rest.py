"""The REST interface in the design document answers as the embedded server does."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from rest import TASK
from rewriting import Lists, Rewriting
from serving import Answer, Client, Server

from after.clock import SystemClock, now
from after.dates import format_instant
from after.status import Status

BAD_QUERIES = [
    "/tasks?colour=red",
    f"/tasks?{'x' * 100}=1",
    "/tasks?__proto__=1",
    "/tasks?worker=a&worker=b",
    "/tasks?worker",
    "/tasks?tag=",
    "/tasks?status=",
    "/tasks?status=waiting,",
    "/tasks?status=running,sleeping",
    "/tasks?status=%27%0a%F0%9F%92%A9%E2%80%8B",
    "/tasks?limit=0",
    "/tasks?limit=1001",
    "/tasks?limit=%2B1",
    "/tasks?limit=1.0",
    f"/tasks?limit={'9' * 30}",
    f"/tasks?limit={'y' * 200}",
    "/tasks?limit=",
    "/tasks?from=2026-13-01",
    "/tasks?to=tomorrow",
    "/tasks?from=%ff",
    "/tasks?from=PT5M",
    "/tasks?cursor=",
    "/tasks?cursor=abc",
    "/tasks?cursor=%F0%9F%92%A9",
    "/tasks?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/tasks/?limit=x",
    "/tasks/_all_tasks?limit=x",
    "/tasks/a?rev=1-1",
    "/tasks/a/history?limit=x",
    "/tasks/a/history?cursor=x",
    "/tasks/a/history?colour=red",
    "/tasks/workers?name=a",
    "/tasks/workers/a?x",
    f"/tasks/workers/{'n' * 129}",
    "/tasks/_changes?colour=red",
    "/tasks/_changes?feed=slow",
    "/tasks/_changes?style=none",
    "/tasks/_changes?include_docs=yes",
    "/tasks/_changes?descending=true&feed=longpoll",
    "/tasks/_changes?limit=-1",
    "/tasks/_changes?heartbeat=0",
    "/tasks/_changes?heartbeat=never",
    "/tasks/_changes?timeout=long",
    "/tasks/_changes?status=sleeping",
    "/tasks/_changes?worker=",
    "/metrics?name=after_tasks",
    "/tasks/%ff",
    "/tasks/%ff/history",
]
MISSING = [
    "/tasks/nobody",
    f"/tasks/{'n' * 100}",
    "/tasks/it's",
    "/tasks/_design%2Fafter",
    "/tasks/_local%2Fx",
    "/tasks/worker:manobi",
    "/tasks/nobody/history",
    "/tasks/workers/nobody",
    "/tasks/workers/it's",
    "/nothing",
    "/constructor",
    "/tasks/a/b",
    "/tasks/a/history/b",
    "/tasks//history",
    "/tasks/workers/a/b",
    "/tasks/workers/history",
]


@pytest.fixture(scope="module")
def lists() -> Lists:
    return Lists()


@pytest.fixture
def both(client: Client, lists: Lists):
    """Give what asks both engines, which have the same documents, and gives both answers."""

    def ask(path: str, method: str = "GET") -> tuple[Answer, Answer]:
        rows = client.get("/after/_all_docs", include_docs=True).json["rows"]
        couchdb = Rewriting(lists, [row["doc"] for row in rows])
        return client.call(method, path), couchdb.get(path, method)

    return ask


@pytest.fixture
def filled(client: Client) -> Client:
    """A client of a server that has tasks of every status, several on each day, and workers."""
    tasks = [
        {
            **TASK,
            "_id": f"{'ABCDEFé/+%. '[place % 12]}{place}",
            "worker": ("manobi", "ma", "ma:nobi", 'ma"no\\bi')[place % 4],
            "date": f"2026-12-{place % 9 + 1:02}",
            "status": list(Status)[place % 9],
            "tags": [["spring"], ["sale", "spring"], []][place % 3],
            "history": [{"at": "2026-12-01T00:00:00.000Z", "status": "waiting"}] * place,
        }
        for place in range(60)
    ]
    undated = {"_id": "undated", "worker": "manobi", "job": "raw"}
    answers = client.post("/after/_bulk_docs", {"docs": [*tasks, undated, *worker_documents()]}).json
    assert not [answer for answer in answers if "error" in answer]
    return client


def worker_documents():
    instant = now(SystemClock())
    told = {"type": "worker", "pid": 1, "host": "h", "started": format_instant(instant), "concurrency": 10}
    states = [
        ("manobi", "b", "running", 0),
        ("manobi", "a", "draining", 60),
        ("ma", "c", "stopped", 60),
        ("é", "d", "lost", 0),
    ]
    for name, instance, state, silent in states:
        yield {
            **told, "_id": f"worker:{name}:{instance}", "name": name, "instance": instance, "state": state,
            "heartbeat": format_instant(instant - silent * 1000), "running": 1, "held": 2, "jobs": ["two", "one"],
            "counters": {"err": 1, "done": 2}, "machine": "m",
        }  # fmt: skip
    yield {"_id": "worker:manobi", "type": "control", "name": "manobi", "paused": True, "note": "x", "by": "client"}
    yield {"_id": "worker:idle", "type": "control", "name": "idle", "paused": False, "note": None}


@pytest.mark.parametrize("path", BAD_QUERIES + MISSING)
def test_refuses_the_same_with_the_same_words(both, path: str) -> None:
    embedded, couchdb = both(path)
    assert embedded.status in (400, 404)
    assert (couchdb.status, couchdb.content) == (embedded.status, embedded.content)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/tasks"), ("DELETE", "/tasks/"), ("POST", "/tasks/_all_tasks"), ("GET", "/tasks/_bulk"),
     ("PUT", "/tasks/a"), ("POST", "/tasks/_changes"), ("POST", "/tasks/a/history"), ("DELETE", "/tasks/workers/a"),
     ("POST", "/tasks/workers"), ("POST", "/metrics"), ("DELETE", "/"), ("POST", "/index.html")],
)  # fmt: skip
def test_names_the_methods_that_a_path_takes(both, method: str, path: str) -> None:
    embedded, couchdb = both(path, method)
    assert (couchdb.status, couchdb.content) == (405, embedded.content)
    allowed = [set(answer.headers["Allow"].split(", ")) for answer in (embedded, couchdb)]
    assert allowed[0] == allowed[1]


QUERIES = [
    "", "worker=manobi", "worker=ma:nobi", f"worker={quote(chr(34).join(['ma', 'no']))}", "status=done",
    "status=done,err,done", "worker=manobi&status=waiting", "worker=ma&status=err,waiting", "tag=spring",
    "tag=sale&worker=manobi", "tag=none", "from=2026-12-03", "to=2026-12-03",
    "from=2026-12-03&to=2026-12-05T12:00%2B02:00",
    "from=2026-12-05&to=2026-12-03", "from=2026-12-05&to=2026-12-05", "worker=nobody", "status=running&from=2026-12-02",
    "to=1970-01-01T00:00:00.001Z",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_lists_the_same_tasks(filled: Client, both, query: str) -> None:
    embedded, couchdb = both(f"/tasks?limit=1000&{query}")
    assert couchdb.json == embedded.json
    assert couchdb.content.count(b"\n") == embedded.content.count(b"\n")
    assert couchdb.headers["Content-Type"] == "application/json"
    assert couchdb.json["cursor"] is None


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_pages_give_every_task_once(filled: Client, both, query: str, limit: int) -> None:
    whole = both(f"/tasks?limit=1000&{query}")[0].json["tasks"]
    found, cursor = [], ""
    while True:
        page = both(f"/tasks?limit={limit}&{query}{cursor}")[1].json
        found += page["tasks"]
        assert len(page["tasks"]) == limit or page["cursor"] is None
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert found == whole


def test_a_page_goes_on_where_its_last_task_is_gone(filled: Client, both) -> None:
    first = both("/tasks?limit=2")[1].json
    last = first["tasks"][-1]
    client = filled
    client.delete(f"/after/{quote(last['_id'], safe='')}", rev=last["_rev"])
    following = both(f"/tasks?limit=2&cursor={first['cursor']}")[1].json
    assert following["tasks"] == both("/tasks?limit=1000")[0].json["tasks"][1:3]


def test_a_cursor_belongs_to_its_list(filled: Client, both) -> None:
    cursor = both("/tasks?limit=1")[1].json["cursor"]
    assert re.fullmatch(r"[\w-]+", cursor)
    for path in (f"/tasks?cursor={cursor[:-1]}", f"/tasks?cursor=A{cursor}", f"/tasks/A48/history?cursor={cursor}"):
        assert both(path)[1].json["reason"].startswith("cursor: ")


@pytest.mark.parametrize("place", range(12))
def test_shows_the_same_task_and_history(filled: Client, both, place: int) -> None:
    identity = quote(f"{'ABCDEFé/+%. '[place]}{place + 12}", safe="")
    embedded, couchdb = both(f"/tasks/{identity}")
    assert couchdb.status == 200
    assert couchdb.json == embedded.json
    found, cursor = [], ""
    while True:
        page = both(f"/tasks/{identity}/history?limit=10{cursor}")[1].json
        found += page["history"]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert {"history": found, "cursor": None} == both(f"/tasks/{identity}/history")[0].json


@pytest.mark.parametrize("archives", [2, 3], ids=["cut", "not cut yet"])
@pytest.mark.parametrize("limit", [1000, 150, 70])
def test_goes_through_the_same_archives(client: Client, both, archives: int, limit: int) -> None:
    entries = [{"at": "2026-12-01T00:00:00.000Z", "status": "waiting", "note": str(number)} for number in range(325)]
    documents = [
        {"_id": f"history:a:{number}", "type": "history", "task": "a", "number": number,
         "history": entries[100 * number : 100 * (number + 1)]}
        for number in range(archives)
    ]  # fmt: skip
    task = {**TASK, "_id": "a", "archived": 200, "history": entries[200:]}
    assert all(row["ok"] for row in client.post("/after/_bulk_docs", {"docs": [task, *documents]}).json)
    found, cursors = [], ["", ""]
    while cursors[0] is not None:
        pages = [
            both(f"/tasks/a/history?limit={limit}" + (cursor and f"&cursor={cursor}"))[place].json
            for place, cursor in enumerate(cursors)
        ]
        assert pages[0]["history"] == pages[1]["history"]
        found += pages[0]["history"]
        cursors = [page["cursor"] for page in pages]
        assert (cursors[0] is None) == (cursors[1] is None)
    assert found == entries


@pytest.mark.parametrize("path", ["", "/manobi", "/ma", "/ma:nobi", "/ma%22no%5Cbi", "/idle", "/%C3%A9"])
def test_tells_the_same_of_workers(filled: Client, both, path: str) -> None:
    embedded, couchdb = both(f"/tasks/workers{path}")
    assert couchdb.status == 200
    assert couchdb.json == embedded.json


def test_has_the_same_metrics(filled: Client, both) -> None:
    embedded, couchdb = both("/metrics")
    own = ("after_documents", "after_database_bytes", "after_feed_readers")
    lines = [
        line for line in embedded.content.decode().splitlines() if not line.removeprefix("# HELP ").startswith(own)
    ]
    lines = [line for line in lines if not line.removeprefix("# TYPE ").startswith(own)]
    assert couchdb.content.decode().splitlines() == [line.removesuffix(".0") for line in lines]
    assert couchdb.headers["Content-Type"] == embedded.headers["Content-Type"]


def test_an_empty_database_is_told_of(both) -> None:
    for path in ("/tasks", "/tasks/workers"):
        embedded, couchdb = both(path)
        assert couchdb.json == embedded.json


def test_the_filter_of_requests_wants_what_the_embedded_one_wants(filled: Client, lists: Lists) -> None:
    ended = {**TASK, "_id": "ended", "status": "done", "claim": {"instance": "a", "at": "2026-12-01T00:00:00.000Z"}}
    assert filled.post("/after/_bulk_docs", {"docs": [ended]}).json[0]["ok"]
    rows = filled.get("/after/_all_docs", include_docs=True).json["rows"]
    for worker in ("manobi", "ma", "nobody"):
        req = {"query": {"worker": worker}}
        wanted = {row["id"] for row in rows if lists.function("filters/requests", row["doc"], req)}
        told = filled.get("/after/_changes", filter="after/requests", worker=worker).json["results"]
        assert wanted == {change["id"] for change in told}


def test_an_index_that_lags_behind_shows_nothing_that_is_not_wanted(lists: Lists) -> None:
    changed = {**TASK, "_id": "a", "_rev": "2-a", "status": "done"}
    row = {"id": "a", "key": [0], "value": None, "doc": changed}
    deleted = {"id": "b", "key": [0], "value": None, "doc": None}
    wanted = Rewriting(lists, []).rewritten("/tasks?status=waiting")
    answer = lists.list("tasks", [row, deleted], {"query": wanted["query"]})
    assert answer["body"] == '{"tasks":[\n],"cursor":null}\n'


def test_the_page_is_the_embedded_servers(server: Server, client: Client, lists: Lists) -> None:
    page = client.get("/index.html")
    assert page.status == 200
    assert page.content == client.get("/", {"Accept": "text/html"}).content
    assert b"innerHTML" not in page.content
    assert not re.search(rb"""(href|fetch|ask|EventSource)(=|\()["'`]/""", page.content), (
        "the page has a base of its own"
    )
