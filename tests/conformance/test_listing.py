"""Lists of tasks: by date and id, filtered, page by page."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from rest import TASK, as_worker, told

WORKERS = ("manobi", "other", "ünï")
STATUSES = ("waiting", "schedule", "reschedule", "cancel", "done", "err")
ENDS = "\u00e9\u2603\U0001d538zZ0"
TAGS = ("x", "y", 'a "quoted" one', "ü", "x,y")
DATES = (
    "0001-01-01",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01",
    *(f"2026-12-{day:02}" for day in range(1, 8)),
    "9999-12-31",
)


def every(client, **query):
    """Walk through all pages of a list."""
    found, limit = [], int(query.get("limit", 100))
    while True:
        answer = client.get("/tasks", **query)
        assert answer.status == 200, answer.json
        page = answer.json["tasks"]
        found += page
        if answer.json["cursor"] is None:
            assert len(page) <= limit
            return found
        assert len(page) == limit
        query["cursor"] = answer.json["cursor"]


def place(task):
    return task["date"], task["_id"].encode()


@pytest.fixture(scope="module")
def filled(shared):
    """What speaks to a database with many tasks, changed and unchanged."""
    many = []
    for number in range(600):
        task = {
            "_id": f"{number * 7919 % 600:x}{ENDS[number % 6]}",
            "worker": WORKERS[number % 3],
            "job": "nothing",
            "date": instant(DATES[number * number % len(DATES)]),
            "tags": [TAGS[place] for place in range(len(TAGS)) if number >> place & 1],
            "text": "x y ü",
            "type": "task",
            "history": [{"at": "2026-12-01T09:00:00.000Z", "status": "waiting", "by": "client"}],
        }
        many.append({field: value for field, value in task.items() if value != []})
    written = shared.post("/after/_bulk_docs", {"docs": [{**task, "status": "waiting"} for task in many]}).json
    revs = {row["id"]: row["rev"] for row in written}
    changes = [{**task, "status": STATUSES[n % 6], "_rev": revs[task["_id"]]} for n, task in enumerate(many) if n % 6]
    assert all("ok" in one for one in shared.post("/after/_bulk_docs", {"docs": changes}).json)
    for number in range(6):
        as_worker(shared, many[6 * number]["_id"], *("scheduled", "running", "done")[: number % 3 + 1])
    shared.put("/after/0-no-task", {"x": 1, "tags": ["x"]})
    assert shared.delete(f"/tasks/{quote(many[300]['_id'])}").status == 200
    return shared


class Sorted:
    """All tasks of that server, in order, as Python sorts them."""

    def __init__(self, client):
        rows = client.get("/after/_all_docs", include_docs="true").json["rows"]
        self.tasks = sorted((row["doc"] for row in rows if row["doc"].get("type") == "task"), key=place)


@pytest.fixture(scope="module")
def stored(filled):
    return Sorted(filled)


FILTERS = some.fixed_dictionaries(
    {},
    optional={
        "worker": some.sampled_from([*WORKERS, "nobody"]),
        "status": some.lists(some.sampled_from([*STATUSES, "scheduled", "running", "canceled"]), min_size=1).map(
            ",".join
        ),
        "tag": some.sampled_from([*TAGS, "nothing", "text"]),
        "from": some.sampled_from(DATES),
        "to": some.sampled_from(DATES),
    },
)


def fits(task, wanted):
    return (
        wanted.get("worker", task["worker"]) == task["worker"]
        and task["status"] in wanted.get("status", task["status"]).split(",")
        and ("tag" not in wanted or wanted["tag"] in task.get("tags", []))
        and instant(wanted.get("from", DATES[0])) <= task["date"]
        and ("to" not in wanted or task["date"] < instant(wanted["to"]))
    )


def instant(text):
    return text if "T" in text else f"{text}T00:00:00.000Z"


@pytest.mark.timeout(600)  # CouchDB needs a while for so many pages
@settings(max_examples=150, deadline=None, derandomize=True)
@given(wanted=FILTERS, limit=some.sampled_from([7, 50, 199, 200, 1000]))
def test_gives_what_a_sorted_list_gives(filled, stored, wanted, limit):
    assert every(filled, **wanted, limit=limit) == [task for task in stored.tasks if fits(task, wanted)]


def test_every_size_of_page_gives_the_same(filled, stored):
    wanted = [task for task in stored.tasks if task["worker"] == "manobi" and task["status"] == "waiting"]
    assert len(wanted) > 50
    for limit in (1, 2, len(wanted) - 1, len(wanted), len(wanted) + 1):
        assert every(filled, worker="manobi", status="waiting", limit=limit) == wanted


def test_there_are_a_hundred_where_nothing_is_said(filled, stored):
    for path in ("/tasks", "/tasks/_all_tasks"):
        answer = filled.get(path)
        assert (answer.status, answer.json["tasks"]) == (200, stored.tasks[:100])
        assert isinstance(answer.json["cursor"], str)


def test_there_may_be_none(client):
    assert client.get("/tasks").json == {"tasks": [], "cursor": None}
    client.post("/tasks/a", TASK)
    assert client.get("/tasks", to="2026-12-01T09:00:00Z").json["tasks"] == []
    (task,) = client.get("/tasks", **{"from": "2026-12-01T09:00:00Z"}).json["tasks"]
    assert task == client.get("/tasks/a").json


class TestCursors:
    def test_a_page_is_not_moved_by_what_comes_meanwhile(self, client):
        for name in "bdfh":
            client.post(f"/tasks/{name}", TASK)
        first = client.get("/tasks", limit=2).json
        for name in "aeg":
            client.post(f"/tasks/{name}", TASK)
        client.delete("/tasks/d")
        following = client.get("/tasks", limit=10, cursor=first["cursor"]).json
        assert [task["_id"] for task in first["tasks"] + following["tasks"]] == list("bdefgh")

    @pytest.mark.parametrize("path", ["/tasks", "/tasks/a/history"])
    def test_a_cursor_that_was_made_up_is_refused(self, client, path):
        for name in "abc":
            client.post(f"/tasks/{name}", TASK)
        client.post("/tasks/a", {"status": "cancel"})
        cursor = client.get(path, limit=1).json["cursor"]
        assert client.get(path, cursor=cursor).status == 200
        turned = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor))]
        made = [
            base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
            for value in ([0, "a"], [0], "\ud800", [2**70, "a"])
        ]
        for wrong in (*turned, *made, cursor[:-1], cursor + "A", cursor * 2, "", "x", "=", "é", "%", "A" * 4000):
            code, error, reason = told(client.get(path, cursor=wrong))
            assert (code, error, reason.partition(":")[0]) == (400, "bad_request", "cursor"), wrong

    def test_a_cursor_of_another_list_is_refused(self, client):
        for name in "abc":
            client.post(f"/tasks/{name}", TASK)
        client.post("/tasks/a", {"status": "cancel"})
        of_tasks, of_history = (client.get(path, limit=1).json["cursor"] for path in ("/tasks", "/tasks/a/history"))
        assert told(client.get("/tasks", cursor=of_history))[0] == 400
        assert told(client.get("/tasks/a/history", cursor=of_tasks))[0] == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", text) for text in ("0", "1001", "-1", "x", "", "1.0", "1e2", "\u0663", "9" * 5000, "0" * 5000)),
        *(("status", text) for text in ("x", "", "waiting,", "waiting,x", "Waiting", "waiting cancel")),
        *((name, text) for name in ("from", "to") for text in ("x", "", "2026-02-30", "PT5M", "10000-01-01")),
        ("worker", ""),
        ("tag", ""),
        ("skip", "1"),
    ],
)  # fmt: skip
def test_refuses_what_it_cannot_read(client, name, value):
    code, error, reason = told(client.get("/tasks", **{name: value}))
    assert (code, error, reason.partition(":")[0]) == (400, "bad_request", name)
    assert len(reason) < 200


def test_nothing_is_said_twice(client):
    assert told(client.get("/tasks?status=done&status=err"))[2] == "status: is given twice"
