"""The history of a task whose oldest entries stand in documents of their own."""

from __future__ import annotations

from typing import Any

import pytest
from couchdb import CouchDatabase
from rest import TASK, rev_of, told
from serving import Client

from after.history import ARCHIVED

CURSOR = "cursor"


def entry(number: int) -> dict[str, Any]:
    return {"at": "2026-12-01T09:00:00.000Z", "status": "waiting", "by": "w1", "note": str(number)}


def archive(identity: str, number: int) -> dict[str, Any]:
    numbers = range(number * ARCHIVED, (number + 1) * ARCHIVED)
    return {
        "_id": f"history:{identity}:{number}", "type": "history", "task": identity, "number": number,
        "history": [entry(one) for one in numbers],
    }  # fmt: skip


def put(client: Client, identity: str, archived: int, own: int, archives: range | None = None) -> None:
    """Store a task with `own` entries, and archives: those that it has been cut for unless others are given."""
    history = [entry(archived + number) for number in range(own)]
    task = {**TASK, "_id": identity, "type": "task", "history": history, "archived": archived}
    numbers = range(archived // ARCHIVED) if archives is None else archives
    documents = [task, *(archive(identity, number) for number in numbers)]
    rows = client.post("/after/_bulk_docs", {"docs": documents}).json
    assert all(row.get("ok") for row in rows), rows


def pages(client: Client, path: str, limit: int) -> list[list[int]]:
    """Give the numbers of the entries on each page."""
    found, query = [], {"limit": limit}
    while True:
        page = client.get(f"{path}/history", **query).json
        found.append([int(one["note"]) for one in page["history"]])
        if page[CURSOR] is None:
            return found
        query[CURSOR] = page[CURSOR]


class TestReading:
    @pytest.mark.parametrize("limit", [7, 100, 130, 320, 321, 1000])
    def test_goes_through_archives_and_document(self, client: Client, limit: int) -> None:
        put(client, "a", 300, 21)
        put(client, "b", 0, 119, range(0))
        put(client, "a:1", 100, 20)
        for identity, length in (("a", 321), ("b", 119), ("a:1", 120)):
            found = pages(client, f"/tasks/{identity}", limit)
            assert [number for page in found for number in page] == list(range(length))
            assert all(len(page) == limit for page in found[:-1])
            assert found[-1]

    def test_what_is_written_and_not_cut_yet_is_told_once(self, client: Client) -> None:
        put(client, "a", 100, 120, range(2))
        assert pages(client, "/tasks/a", 90) == [list(range(start, min(start + 90, 220))) for start in (0, 90, 180)]

    def test_a_cursor_is_a_place_in_the_whole(self, client: Client) -> None:
        put(client, "a", 0, 120)
        first = client.get("/tasks/a/history", limit=50).json
        assert client.put("/after/history:a:0", archive("a", 0)).status == 201
        task = client.get("/after/a").json
        cut = {**task, "history": task["history"][ARCHIVED:], "archived": ARCHIVED}
        assert client.put("/after/a", cut).status == 201
        rest = client.get("/tasks/a/history", cursor=first["cursor"]).json
        assert [int(one["note"]) for one in rest["history"]] == list(range(50, 120))

    def test_one_that_is_missing_leaves_a_gap(self, client: Client) -> None:
        put(client, "a", 300, 20, range(1, 3))
        assert pages(client, "/tasks/a", 1000) == [list(range(100, 320))]
        assert pages(client, "/tasks/a", 100)[0] == []

    def test_a_place_behind_the_end_is_empty(self, client: Client) -> None:
        put(client, "a", 100, 20)
        put(client, "b", 100, 120, range(1))
        assert client.get("/tasks/a/history", limit=119).json["cursor"] is not None
        beyond = client.get("/tasks/b/history", limit=210).json["cursor"]
        assert client.get("/tasks/a/history", cursor=beyond).json == {"history": [], "cursor": None}

    @pytest.mark.parametrize("identity", ["a/b é", "🦆" * 512, 'it\'s "a"', "a+b%20"])
    def test_of_any_id(self, client: Client, identity: str) -> None:
        from urllib.parse import quote

        put(client, identity, 100, 20) if len(identity) < 500 else client.post(f"/tasks/{quote(identity)}", TASK)
        answer = client.get(f"/tasks/{quote(identity, safe='')}/history", limit=1000)
        assert (answer.status, len(answer.json["history"])) == (200, 120 if len(identity) < 500 else 1)

    def test_there_is_none_where_there_is_no_task(self, client: Client) -> None:
        put(client, "a", 100, 20)
        client.delete("/after/a", rev=client.get("/after/a").json["_rev"])
        for path in ("a", "b", "history:a:0"):
            assert told(client.get(f"/tasks/{path}/history"))[:2] == (404, "not_found")


class TestArchives:
    def test_are_no_tasks(self, client: Client) -> None:
        put(client, "a", 100, 20)
        assert [task["_id"] for task in client.get("/tasks").json["tasks"]] == ["a"]
        assert told(client.get("/tasks/history:a:0"))[:2] == (404, "not_found")
        assert told(client.post("/tasks/history:b:0", TASK))[:2] == (400, "bad_request")
        feed = client.get("/tasks/_changes", include_docs=True).json["results"]
        assert [row["id"] for row in feed] == ["a"]

    def test_go_with_the_task(self, client: Client, place: Any) -> None:
        put(client, "a", 200, 20, range(3))  # the last was written, and the task not cut yet
        put(client, "a:1", 100, 20)
        rev_of(client.delete("/tasks/a"))
        left = [row["id"] for row in client.get("/after/_all_docs").json["rows"] if row["id"][0] != "_"]
        if isinstance(place, CouchDatabase):
            left = [identity for identity in left if not identity.startswith("history:a:")] + ["history:a:1:0"]
        assert sorted(left) == ["a:1", "history:a:1:0"]
        assert pages(client, "/tasks/a:1", 1000) == [list(range(120))]

    def test_stay_where_the_task_stays(self, client: Client) -> None:
        put(client, "a", 100, 20)
        stale = {"If-Match": '"1-abc"'}
        assert client.delete("/tasks/a", stale).status == 409
        assert pages(client, "/tasks/a", 1000) == [list(range(120))]
