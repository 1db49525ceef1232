"""What the embedded server does with documents that CouchDB leaves open, or does in its own time."""

from __future__ import annotations

import threading

from rest import TASK

JSON = {"Accept": "application/json"}


def test_only_the_newest_revision_is_kept(client):
    first = client.put("/after/a", {"x": 1}).json["rev"]
    second = client.put("/after/a", {"x": 2, "_rev": first}).json["rev"]
    assert client.get("/after/a", rev=first).status == 404
    told = client.get("/after/a", revs_info=True, local_seq=True).json
    assert told["_revs_info"] == [{"rev": second, "status": "available"}, {"rev": first, "status": "missing"}]
    assert told["_local_seq"] == 2
    assert client.get("/after/a", JSON, open_revs=[first]).json == [{"missing": first}]
    (row,) = client.post("/after/_bulk_get", {"docs": [{"id": "a", "rev": first}]}).json["results"]
    assert row["docs"][0]["error"]["error"] == "not_found"


def test_a_batched_write_is_there_at_once(client):
    assert client.put("/after/a", {}, batch="ok").status == 202
    assert client.get("/after/a").status == 200


def test_ids_ascend(client):
    first, second = (client.post("/after", {"x": 1}).json["id"] for _ in range(2))
    rows = client.post("/after/_bulk_docs", {"docs": [{}, {}, {}]}).json
    ids = [first, second, *(row["id"] for row in rows)]
    assert ids == sorted(set(ids))


def test_a_posted_task_has_its_revision_at_once(client):
    made = client.post("/tasks/a", TASK)
    assert made.json["rev"] == made.json["task"]["_rev"]
    assert made.headers["ETag"] == f'"{made.json["rev"]}"'
    assert client.post("/tasks/a", TASK).json == made.json


def test_of_many_changes_of_a_task_at_once_all_are_taken(client):
    client.post("/tasks/a", TASK)
    answers = []

    def change(number):
        answers.append(client.stream("/tasks/a", {"status": "reschedule", f"n{number}": 1}).status)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert len(client.get("/tasks/a").json["history"]) == 9


def test_a_request_that_is_too_large(client):
    """CouchDB has `max_http_request_size` for that, and gives up on a function that needs 5 s to read a body."""
    answer = client.post("/tasks", b" " * (17 * 1024 * 1024))
    assert (answer.status, answer.json["error"]) == (413, "too_large")


def archive(client, identity):
    """Store a task that has an archive, and give its revision."""
    history = [{"at": "2026-12-01T09:00:00.000Z", "status": "waiting"}]
    client.put(f"/after/history:{identity}:0", {"type": "history", "task": identity, "number": 0, "history": history})
    return client.put(f"/after/{identity}", {**TASK, "history": history, "archived": 100}).json["rev"]


def test_archives_are_deleted_in_the_commit_of_their_task(client):
    archive(client, "a")
    client.delete("/tasks/a")
    told = client.get("/after/_changes").json["results"]
    assert [(row["id"], row.get("deleted")) for row in told] == [("a", True), ("history:a:0", True)]
    assert client.get("/tasks/a/history").status == 404


def test_archives_stay_where_another_revision_takes_the_place_of_the_task(client):
    rev = archive(client, "a")
    other = {**TASK, "_id": "a", "_rev": "1-0", "archived": 100}
    client.post("/after/_bulk_docs", {"docs": [other], "new_edits": False})
    assert client.delete("/tasks/a").status == 200
    task = client.get("/tasks/a").json
    assert task["_rev"] in ("1-0", rev)
    assert len(client.get("/tasks/a/history").json["history"]) >= 1
