"""The changes feed over HTTP. Each database has one shard, so that changes come in their order."""

from __future__ import annotations

import json

import pytest
from protocol import DESIGN, TASK, event, last_seq, read, told_event


def write(client, *documents):
    rows = client.post("/after/_bulk_docs", {"docs": list(documents)}).json
    assert all(row.get("ok") for row in rows), rows
    return [row["rev"] for row in rows]


def ids(answer):
    return [row["id"] for row in answer.json["results"] if row["id"] != DESIGN]


def read_all(stream):
    return [json.loads(line) for line in stream if line != b"\n"]


@pytest.fixture
def start(client):
    """Where the feed of a new database begins."""
    return last_seq(client)


def changes(client, body=None, **query):
    return client.get("/after/_changes", **query) if body is None else client.post("/after/_changes", body, **query)


class TestNormal:
    def test_tells_the_latest_change_of_each_document_in_order(self, client):
        first, _ = write(client, {"_id": "a"}, {"_id": "b"})
        (rev,) = write(client, {"_id": "a", "_rev": first})
        told = changes(client).json
        assert ids(changes(client)) == ["b", "a"]
        last = told["results"][-1]
        assert last == {"seq": last["seq"], "id": "a", "changes": [{"rev": rev}]}
        assert (told["last_seq"], told["pending"]) == (last["seq"], 0)

    def test_an_empty_database_has_none(self, client, start):
        assert changes(client, since=start).json == {"results": [], "last_seq": start, "pending": 0}

    def test_begins_after_since(self, client, start):
        write(client, *({"_id": name} for name in "abc"))
        first, second, third = (row["seq"] for row in changes(client, since=start).json["results"])
        assert ids(changes(client, since=first)) == ["b", "c"]
        assert ids(changes(client, since=json.dumps(str(second)))) == ["c"]
        assert changes(client, since="now").json == {"results": [], "last_seq": third, "pending": 0}

    def test_stops_at_the_limit_and_tells_what_is_left(self, client, start):
        write(client, *({"_id": name} for name in "abc"))
        told = changes(client, since=start, limit=2).json
        assert ids(changes(client, since=start, limit=2)) == ["a", "b"]
        assert (told["last_seq"], told["pending"]) == (told["results"][-1]["seq"], 1)

    def test_includes_documents_and_deletions(self, client, start):
        (rev,) = write(client, {"_id": "a", "x": 1})
        (row,) = changes(client, include_docs=True, since=start).json["results"]
        assert row["doc"] == {"_id": "a", "_rev": rev, "x": 1}
        gone = client.delete("/after/a", rev=rev).json["rev"]
        (row,) = changes(client, include_docs=True, since=start).json["results"]
        assert row["deleted"] is True
        assert row["doc"] == {"_id": "a", "_rev": gone, "_deleted": True}

    def test_goes_backwards(self, client):
        write(client, *({"_id": f"{number:03}"} for number in range(500)))
        told = ids(changes(client, descending=True))
        assert told == [f"{number:03}" for number in reversed(range(500))]
        assert ids(changes(client, descending=True, limit=2)) == told[:2]

    @pytest.mark.parametrize(
        "query",
        [
            {"feed": "x"},
            {"since": "x"},
            {"limit": "-1"},
            {"heartbeat": "0"},
            {"timeout": "x"},
            {"style": "x"},
            {"include_docs": "1"},
            {"foo": "1"},
            {"feed": "continuous", "descending": "true"},
        ],
    )
    def test_refuses_a_parameter(self, client, query):
        answer = changes(client, **query)
        assert (answer.status, answer.json["error"]) == (400, "bad_request")


class TestFilters:
    def test_selects_by_a_selector(self, client):
        write(client, {"_id": "a", "x": 1}, {"_id": "b", "x": 2}, {"_id": "c", "x": 1})
        assert ids(changes(client, {"selector": {"x": 1}}, filter="_selector")) == ["a", "c"]
        assert ids(changes(client, {"selector": {"_id": {"$gt": "a"}}}, filter="_selector")) == ["b", "c"]

    def test_ignores_a_selector_that_no_filter_names(self, client):
        write(client, {"_id": "a", "x": 1}, {"_id": "b"})
        assert ids(changes(client, {"selector": {"x": 1}})) == ["a", "b"]

    def test_a_selector_hears_of_deletions_only_where_it_asks(self, client):
        revs = write(client, {"_id": "a", "x": 1}, {"_id": "b", "x": 1})
        client.delete("/after/a", rev=revs[0])
        assert ids(changes(client, {"selector": {"x": 1}}, filter="_selector")) == ["b"]
        assert ids(changes(client, {"selector": {"_deleted": True}}, filter="_selector")) == ["a"]

    def test_a_selector_hears_of_a_deletion_as_it_happens(self, client):
        (rev,) = write(client, {"_id": "a", "x": 1})
        selector = {"selector": {"$or": [{"x": 2}, {"_deleted": True}, {"_id": "c"}]}}
        stream = client.stream("/after/_changes", selector, feed="continuous", filter="_selector", since="now")
        write(client, {"_id": "b", "x": 2})
        assert read(stream)["id"] == "b"  # it follows; what comes now is not read from the database
        client.delete("/after/a", rev=rev)
        assert read(stream)["deleted"] is True
        write(client, {"_id": "c"})
        assert read(stream)["id"] == "c"

    @pytest.mark.parametrize("selector", [
        {"history.59.note": "last"},
        {"history": {"$size": 60}},
        {"$or": [{"history": {"$elemMatch": {"note": "last"}}}]},
    ])  # fmt: skip
    def test_a_selector_looks_into_a_long_history_as_it_happens(self, client, selector):
        entries = [{"at": "2026-12-01T09:00:00.000Z", "status": "done", "by": "manobi/1"} for _ in range(60)]
        task = {"worker": "manobi", "job": "x", "history": [*entries[1:], {**entries[0], "note": "last"}]}
        body = {"selector": {"$or": [selector, {"_id": "a"}]}}
        stream = client.stream("/after/_changes", body, feed="continuous", filter="_selector", since="now")
        write(client, {"_id": "a"})
        assert read(stream)["id"] == "a"  # it follows; what comes now is not read from the database
        write(client, {"_id": "b", "x": 1}, {"_id": "c", **task})
        assert read(stream)["id"] == "c"

    def test_selects_by_id(self, client):
        revs = write(client, {"_id": "a"}, {"_id": "b"}, {"_id": "c"})
        client.delete("/after/b", rev=revs[1])
        assert ids(changes(client, {"doc_ids": ["a", "b"]}, filter="_doc_ids")) == ["a", "b"]
        assert ids(changes(client, filter="_doc_ids", doc_ids=["c"])) == ["c"]

    def test_tells_a_worker_what_to_act_on(self, client):
        claim = {"instance": "i", "at": "2026-12-01"}
        statuses = ["waiting", "schedule", "reschedule", "cancel", "scheduled", "running", "done", "err", "canceled"]
        write(
            client,
            *({**TASK, "_id": status, "status": status} for status in statuses),
            {**TASK, "_id": "none"},
            {**TASK, "_id": "other", "worker": "x"},
            {**TASK, "_id": "ended outside", "status": "done", "claim": claim},
            {"_id": "no task", "worker": "manobi"},
        )
        told = ids(changes(client, filter="after/requests", worker="manobi"))
        assert sorted(told) == sorted([*statuses[:4], "none", "ended outside"])

    @pytest.mark.parametrize(
        ("filter_name", "body", "status"),
        [
            ("after/nothing", None, 404),
            ("x/y", None, 404),
            ("_nothing", None, 400),
            ("after/requests", None, 400),
            ("_selector", {}, 400),
            ("_selector", {"selector": {"x": {"$nothing": 1}}}, 400),
            ("_doc_ids", {"doc_ids": "a"}, 400),
        ],
    )
    def test_refuses_a_filter(self, client, filter_name, body, status):
        assert changes(client, body, filter=filter_name).status == status


class TestLongPoll:
    def test_answers_at_once_where_there_is_something(self, client):
        write(client, *({"_id": f"{number}"} for number in range(500)))
        assert len(ids(changes(client, feed="longpoll"))) == 500

    def test_waits_for_a_change_that_matches(self, client, start):
        stream = client.stream("/after/_changes", {"selector": {"x": 1}}, feed="longpoll", filter="_selector")
        write(client, {"_id": "a", "x": 2})
        write(client, {"_id": "b", "x": 1})
        told = json.loads(stream.read())
        assert [row["id"] for row in told["results"]] == ["b"]
        assert changes(client, since=told["last_seq"]).json["results"] == []

    def test_ends_after_the_timeout(self, client, start):
        told = changes(client, feed="longpoll", timeout=1, since=start).json
        assert told == {"results": [], "last_seq": start, "pending": 0}

    def test_sends_signs_of_life(self, client, start):
        stream = client.stream("/after/_changes", feed="longpoll", heartbeat=5, since=start)
        assert stream.readline() == b'{"results":[\n'
        assert [stream.readline() for _ in range(3)] == [b"\n"] * 3
        write(client, {"_id": "a"})
        assert read(stream)["id"] == "a"


class TestContinuous:
    def test_tells_changes_as_they_come(self, client, start):
        write(client, {"_id": "a"})
        stream = client.stream("/after/_changes", feed="continuous", include_docs=True, since=start)
        assert read(stream)["id"] == "a"
        for number in range(5):
            write(client, {"_id": f"{number}", "x": number})
            assert read(stream)["doc"]["x"] == number

    def test_from_now_tells_nothing_old(self, client):
        write(client, {"_id": "a"})
        stream = client.stream("/after/_changes", feed="live", since="now")
        write(client, {"_id": "b"})
        assert read(stream)["id"] == "b"

    def test_ends_at_the_limit_and_after_the_timeout(self, client, start):
        write(client, {"_id": "a"}, {"_id": "b"})
        stream = client.stream("/after/_changes", feed="continuous", limit=1, since=start)
        first, end = read_all(stream)
        assert end == {"last_seq": first["seq"], "pending": 1}
        stream = client.stream("/after/_changes", feed="continuous", timeout=1, since=start)
        *_, second, end = read_all(stream)
        assert end == {"last_seq": second["seq"], "pending": 0}

    def test_sends_signs_of_life_also_while_nothing_matches(self, client):
        stream = client.stream(
            "/after/_changes", {"selector": {"x": 1}}, feed="continuous", filter="_selector", heartbeat=5
        )
        for number in range(20):
            write(client, {"_id": f"{number}"})
        assert stream.readline() == b"\n"
        write(client, {"_id": "a", "x": 1})
        assert read(stream)["id"] == "a"

    @pytest.mark.timeout(600)
    def test_a_reader_that_lags_behind_loses_nothing(self, client, start):
        stream = client.stream("/after/_changes", feed="continuous", include_docs=True, since=start, limit=12_000)
        for start in range(0, 12_000, 3_000):
            write(client, *({"_id": f"{number:05}", "text": "x" * 200} for number in range(start, start + 3_000)))
        told = read_all(stream)
        assert [row["id"] for row in told[:-1]] == [f"{number:05}" for number in range(12_000)]


class TestEventSource:
    def events(self, stream, count):
        return [told_event(stream)["id"] for _ in range(count)]

    def test_tells_events_with_their_seq(self, client, start):
        write(client, {"_id": "a"})
        stream = client.stream("/after/_changes", feed="eventsource", since=start)
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        write(client, {"_id": "b"})
        assert self.events(stream, 2) == ["a", "b"]

    def test_resumes_after_the_last_event(self, client, start):
        write(client, *({"_id": name} for name in "abc"))
        seen = {"Last-Event-ID": str(changes(client, since=start).json["results"][1]["seq"])}
        stream = client.stream("/after/_changes", headers=seen, feed="eventsource", since=start)
        assert self.events(stream, 1) == ["c"]

    def test_sends_signs_of_life(self, client, start):
        stream = client.stream("/after/_changes", feed="eventsource", heartbeat=5, since=start)
        assert event(stream) == ["event: heartbeat", "data: "]
