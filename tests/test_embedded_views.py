"""What the embedded server's views and indexes do that is its own business, and no part of CouchDB's protocol."""

from __future__ import annotations

import sqlite3

import pytest
from serving import Client, Server

VIEW = "/after/_design/after/_view"


def test_totals_are_told_where_they_cost_nothing(client):
    client.put("/after/a", {"worker": "w", "job": "j"})
    told = client.get(f"{VIEW}/by_date", update_seq=True).json
    assert (told["total_rows"], told["offset"], told["update_seq"]) == (1, 0, 1)
    assert "total_rows" not in client.get(f"{VIEW}/due").json


def test_there_is_no_design_document(client):
    assert client.get("/after/_design/after").status == 404


def test_conflicts_gives_documents_with_several_leaves(tmp_path):
    path = tmp_path / "after.db"
    first = Server(path)
    client = Client(first.host, first.port)
    rev = client.put("/after/a", {"x": 1}).json["rev"]
    client.put("/after/b", {})
    client.close()
    first.stop()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE document SET conflicts = 1 WHERE id = 'a'")
        database.execute("INSERT INTO leaf VALUES ('a', '1-0abc', 0, '', ?)", (b'{"x":2}',))
    database.close()
    second = Server(path)
    client = Client(second.host, second.port)
    (row,) = client.get(f"{VIEW}/conflicts").json["rows"]
    assert (row["key"], row["id"]) == (["a"], "a")
    assert client.get("/after/a", conflicts=True).json["_conflicts"] == ["1-0abc"]
    assert client.get("/after/a", rev="1-0abc").json == {"_id": "a", "_rev": "1-0abc", "x": 2}
    assert len(client.get("/after/a", open_revs="all").json) == 2
    told = client.get("/after/_changes", style="all_docs", include_docs=True, conflicts=True).json["results"]
    assert told[0]["changes"] == [{"rev": rev}, {"rev": "1-0abc"}]
    assert told[0]["doc"]["_conflicts"] == ["1-0abc"]
    listed = client.get("/after/_all_docs", include_docs=True, conflicts=True).json["rows"]
    assert [row["doc"].get("_conflicts") for row in listed] == [["1-0abc"], None]
    client.close()
    second.stop()


@pytest.mark.parametrize(
    ("selector", "scans"),
    [
        ({}, True),
        ({"number": {"$gt": 590}}, True),
        ({"worker": "a", "type": "note"}, True),
        ({"worker": "a", "type": "task"}, False),
        ({"$and": [{"status": "err"}, {"data.x": 2}]}, False),
        ({"worker": {"$in": ["a", "c"]}, "status": {"$in": ["done", "err"]}, "number": {"$lt": 50}}, False),
        ({"status": "nothing"}, False),
        ({"worker": {"$in": []}}, False),
        ({"_id": {"$in": ["t0001", "t0599", "nothing"]}}, False),
        ({"_id": "t0001", "number": 5}, False),
    ],
)
def test_a_search_without_an_index_has_a_warning(client, selector, scans):
    assert ("warning" in client.post("/after/_find", {"selector": selector}).json) == scans


def test_a_search_does_not_find_design_documents(client):
    client.post("/after/_bulk_docs", {"docs": [{"_id": "_design/x", "number": 1}, {"_id": "a", "number": 1}]})
    found = client.post("/after/_find", {"selector": {"number": 1}}).json["docs"]
    assert [one["_id"] for one in found] == ["a"]
