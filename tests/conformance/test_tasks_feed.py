"""The live feed of tasks: all at once, with the next change, and as an event stream."""

from __future__ import annotations

import json
import threading

import pytest
from protocol import read, told_event
from rest import TASK, rev_of, stored, told


@pytest.fixture
def four(client):
    """Four tasks, and two documents that are none."""
    client.post("/tasks/a", {**TASK, "tags": ["x", "y"]})
    client.post("/tasks/b", {**TASK, "worker": "other"})
    client.put("/after/c", {"x": 1})
    client.put("/after/worker:manobi:1", {"type": "worker", "name": "manobi"})
    client.post("/tasks/d", {**TASK, "tags": ["y"]})
    client.post("/tasks/e", TASK)
    client.post("/tasks/e", {"status": "cancel"})


def ids(answer):
    """Give the ids in their order, which is that of the changes on one shard, as the databases here are."""
    return [row["id"] for row in answer.json["results"]]


@pytest.mark.usefixtures("four")
class TestNormal:
    def test_tells_of_every_task_once(self, client):
        answer = client.get("/tasks/_changes")
        assert answer.status == 200
        assert ids(answer) == ["a", "b", "d", "e"]
        assert answer.json["last_seq"] == client.get("/after").json["update_seq"]
        assert all("doc" not in row for row in answer.json["results"])

    @pytest.mark.parametrize(
        ("query", "wanted"),
        [
            ({"worker": "manobi"}, "ade"),
            ({"worker": "nobody"}, ""),
            ({"status": "cancel"}, "e"),
            ({"status": "cancel,waiting"}, "abde"),
            ({"tag": "y"}, "ad"),
            ({"tag": "y", "worker": "manobi", "status": "waiting"}, "ad"),
            ({"limit": 2}, "ab"),
            ({"limit": 2, "worker": "manobi"}, "ad"),
            ({"descending": "true"}, "edba"),
            ({"since": "now"}, ""),
        ],
    )
    def test_tells_what_is_wanted(self, client, query, wanted):
        assert ids(client.get("/tasks/_changes", **query)) == list(wanted)

    def test_gives_the_tasks_where_they_are_wanted(self, client):
        rows = client.get("/tasks/_changes", include_docs="true").json["results"]
        assert [row["doc"] for row in rows] == [client.get(f"/tasks/{row['id']}").json for row in rows]

    def test_goes_on_where_it_ended(self, client):
        first = client.get("/tasks/_changes", limit=3)
        assert ids(client.get("/tasks/_changes", since=first.json["last_seq"])) == ["e"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("status", "x"),
            ("status", ""),
            ("feed", "x"),
            ("since", "x"),
            ("since", "0" * 5000),
            ("since", str(2**64)),
            ("limit", "-1"),
            ("from", "2026"),
            ("x", "1"),
        ],
    )
    def test_refuses_what_it_does_not_know(self, client, name, value):
        code, error, reason = told(client.get("/tasks/_changes", **{name: value}))
        assert (code, error, reason.partition(":")[0]) == (400, "bad_request", name)


class TestLongPoll:
    def test_answers_at_once_where_there_is_something(self, client, four):
        assert ids(client.get("/tasks/_changes", feed="longpoll")) == ["a", "b", "d", "e"]

    def test_answers_with_the_next_change_that_is_wanted(self, client, four):
        seq = client.get("/after").json["update_seq"]
        answers = []

        def wait():
            reader = client.stream("/tasks/_changes", feed="longpoll", since=seq, worker="manobi", heartbeat=60000)
            begun.set()
            answers.append(json.loads(reader.read()))

        begun = threading.Event()
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert begun.wait(20)
        client.post("/tasks/f", {**TASK, "worker": "other"})
        client.put("/after/g", {"x": 1})
        rev = rev_of(client.post("/tasks/h", TASK))
        waiting.join(20)
        ((row,),) = [answer["results"] for answer in answers]
        assert (row["id"], row["changes"]) == ("h", [{"rev": rev}])

    def test_ends_when_nothing_comes(self, client):
        assert client.get("/tasks/_changes", feed="longpoll", timeout=1).json["results"] == []


class TestContinuous:
    def test_gives_a_line_for_each_change(self, client):
        reader = client.stream("/tasks/_changes", feed="continuous", since="now", status="cancel", include_docs="true")
        client.post("/tasks/a", TASK)
        cancelled = stored(client.post("/tasks/a", {"status": "cancel"}))
        assert read(reader)["doc"] == cancelled


class TestEvents:
    def test_gives_an_event_for_each_change_and_goes_on(self, client, four):
        query = {"feed": "eventsource", "worker": "manobi", "include_docs": "true"}
        reader = client.stream("/tasks/_changes", **query)
        assert reader.headers["Content-Type"].startswith("text/event-stream")
        assert reader.headers["Cache-Control"] == "no-cache"
        rows = [told_event(reader) for _ in range(3)]
        assert [row["id"] for row in rows] == ["a", "d", "e"]
        task = stored(client.post("/tasks/f", TASK))
        assert told_event(reader)["doc"] == task

        again = client.stream("/tasks/_changes", headers={"Last-Event-ID": str(rows[1]["seq"])}, **query)
        assert [told_event(again)["id"] for _ in range(2)] == ["e", "f"]


@pytest.mark.parametrize("path", ["/tasks/_changes", "/after/_changes"])
def test_the_head_of_a_live_feed_comes_at_once(client, path):
    answer = client.call("HEAD", path, feed="continuous", heartbeat=1000)
    assert (answer.status, answer.content) == (200, b"")
