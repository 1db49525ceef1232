"""`_find` over HTTP: whatever index it reads, it finds what the selector says."""

from __future__ import annotations

import pytest

from after.selector import compile_selector


def document(number):
    worker, status = "abc"[number % 3], ["waiting", "done", "err"][number % 7 % 3]
    return {
        "_id": f"t{number:04}", "type": "task", "worker": worker, "job": "j", "status": status,
        "date": f"2026-12-{number % 9 + 1:02}", "number": number, "data": {"x": number % 5, "y": 1},
    }  # fmt: skip


DOCUMENTS = [document(number) for number in range(600)] + [
    {"_id": "note", "worker": "a", "type": "note"},
]


@pytest.fixture(scope="module")
def filled(shared):
    """What speaks to a database with DOCUMENTS, for tests that only read."""
    rows = shared.post("/after/_bulk_docs", {"docs": DOCUMENTS}).json
    assert all(row.get("ok") for row in rows), rows
    return shared


@pytest.fixture
def client(filled):
    return filled


def find(client, selector, **more):
    answer = client.post("/after/_find", {"selector": selector, **more})
    assert answer.status == 200, answer.content
    return answer.json


def expected(selector):
    matches = compile_selector(selector)
    return sorted(one["_id"] for one in DOCUMENTS if matches(one))


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"number": {"$gt": 590}},
        {"worker": "a", "type": "note"},
        {"worker": "a", "type": "task"},
        {"worker": {"$in": ["a", "c"]}, "status": {"$in": ["done", "err"]}, "number": {"$lt": 50}},
        {"$and": [{"status": "err"}, {"data.x": 2}]},
        {"status": "nothing"},
        {"worker": {"$in": []}},
        {"_id": {"$in": ["t0001", "t0599", "nothing"]}},
        {"_id": "t0001", "number": 5},
    ],
)
def test_finds_what_matches(client, selector):
    assert sorted(one["_id"] for one in find(client, selector, limit=1000)["docs"]) == expected(selector)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "selector",
    [{"status": "done"}, {"worker": "b", "status": "done"}, {"worker": "b", "number": {"$gt": 5}}, {"type": "task"}],
)
def test_sorts_by_date(client, selector, descending):
    told = find(client, selector, sort=[{"date": "desc" if descending else "asc"}], limit=1000)["docs"]
    dates = [(one["date"], one["_id"]) for one in told]
    assert dates == sorted(dates, reverse=descending)
    assert sorted(one["_id"] for one in told) == expected(selector)


def test_sorts_by_id(client):
    told = find(client, {"number": {"$gte": 0}}, sort=[{"_id": "desc"}], limit=3)["docs"]
    assert [one["_id"] for one in told] == ["t0599", "t0598", "t0597"]
    assert find(client, {"_id": {"$in": ["t0001", "t0003"]}}, sort=["_id"])["docs"][0]["_id"] == "t0001"


@pytest.mark.parametrize("sort", [["number"], ["date", "number"], [{"date": "asc"}, {"_id": "desc"}]])
def test_has_no_other_order(client, sort):
    answer = client.post("/after/_find", {"selector": {"number": 1}, "sort": sort})
    assert answer.status == 400
    assert answer.json["error"] in ("no_usable_index", "unsupported_mixed_sort")


@pytest.mark.parametrize(
    ("selector", "sort"),
    [
        ({"worker": {"$in": ["a", "b"]}, "status": {"$in": ["done", "waiting"]}}, []),
        ({"number": {"$gt": 100}}, []),
        ({"type": "task"}, [{"date": "desc"}]),
    ],
)
def test_goes_on_from_a_bookmark(client, selector, sort):
    found, query = [], {"limit": 70}
    while (told := find(client, selector, sort=sort, **query))["docs"]:
        found += [one["_id"] for one in told["docs"]]
        query["bookmark"] = told["bookmark"]
    assert sorted(found) == expected(selector)
    assert found == [one["_id"] for one in find(client, selector, sort=sort, limit=1000)["docs"]]


@pytest.mark.parametrize("bookmark", ["x", "eA==", "WzAsW11d", "WzksWyJhIl1d"])
def test_refuses_a_bookmark(client, bookmark):
    answer = client.post("/after/_find", {"selector": {}, "bookmark": bookmark})
    assert (answer.status, answer.json["error"]) == (400, "invalid_bookmark")


def test_has_a_limit_of_25_and_skips(client):
    told = find(client, {"type": "task"})["docs"]
    assert len(told) == 25
    assert find(client, {"type": "task"}, skip=20, limit=5)["docs"] == told[20:]
    assert find(client, {}, limit=0)["docs"] == []


def test_gives_only_the_fields_asked_for(client):
    fields = ["_id", "data.x", "nothing", "number.x", "data.x.y"]
    assert find(client, {"_id": "t0007"}, fields=fields)["docs"] == [{"_id": "t0007", "data": {"x": 2}}]
    assert find(client, {"_id": "t0007"})["docs"][0]["_rev"].startswith("1-")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"selector": {"x": {"$y": 1}}},
        {"selector": 5},
        {"selector": {}, "limit": -1},
        {"selector": {}, "foo": 1},
        {"selector": {}, "sort": [{"date": "up"}]},
    ],
)
def test_refuses_a_query(client, body):
    assert client.post("/after/_find", body).status == 400
