"""Many tasks in one request: an array or a line for each, and a result for each."""

from __future__ import annotations

import json

import pytest
from rest import NDJSON, TASK, as_worker, rev_of, told
from test_bad_input import FIELDS

MANY = 10_000


def lines(documents):
    return b"\n".join(json.dumps(document).encode() for document in documents)


@pytest.fixture(params=["array", "lines"])
def bulk(client, request):
    """Posts documents, each as text where it is bytes, in either form."""

    def post(documents):
        texts = [document if isinstance(document, bytes) else json.dumps(document).encode() for document in documents]
        if request.param == "array":
            return client.post("/tasks/_bulk", b"[" + b", ".join(texts) + b"]")
        return client.post("/tasks/_bulk", b"\n".join(texts), NDJSON)

    return post


class TestBulk:
    def test_takes_all(self, bulk, client):
        answer = bulk([{**TASK, "_id": "a"}, TASK, {**TASK, "_id": "b", "date": "PT5M"}])
        assert answer.status == 201
        assert answer.headers["Content-Type"] == "application/json"
        for one in answer.json:
            assert one == {"ok": True, "id": one["id"], "rev": client.get(f"/tasks/{one['id']}").json["_rev"]}
        assert [answer.json[place]["id"] for place in (0, 2)] == ["a", "b"]
        assert len(client.get("/tasks").json["tasks"]) == 3

    def test_tells_of_each_in_order_what_became_of_it(self, bulk, client):
        same = rev_of(client.post("/tasks/same", TASK))
        other = rev_of(client.post("/tasks/other", TASK))
        client.post("/tasks/moved", TASK)
        client.post("/tasks/ended", TASK)
        as_worker(client, "ended", "running", "done")
        answer = bulk(
            [
                {**TASK, "_id": "new"},
                [],
                {**TASK, "_id": "wrong", "date": "2026-13-01"},
                {**TASK, "_id": "same"},
                {**TASK, "_id": "other", "job": "another"},
                {"_id": "moved", "status": "reschedule", "date": "2027-01-01"},
                {"_id": "ended", "status": "cancel"},
                {"_id": "nobody", "status": "cancel"},
                {**TASK, "_id": "_x"},
                {**TASK, "_id": 5},
                {**TASK, "_id": "claimed", "status": "scheduled"},
                {"_id": "ended", "status": "schedule"},
                {**TASK, "_id": "stale", "_rev": "1-abc"},
                {**TASK, "_id": "last"},
            ]
        )
        assert answer.status == 201
        assert [one.get("error", "ok") for one in answer.json] == [
            "ok", "bad_request", "bad_request", "ok", "conflict", "ok", "forbidden", "not_found", "bad_request",
            "bad_request", "forbidden", "ok", "conflict", "ok",
        ]  # fmt: skip
        assert [one["id"] for one in answer.json] == [
            "new", None, "wrong", "same", "other", "moved", "ended", "nobody", "_x", None, "claimed", "ended", "stale",
            "last",
        ]  # fmt: skip
        reasons = {one["id"]: one["reason"] for one in answer.json if "reason" in one}
        assert {name: reason.partition(":")[0] for name, reason in reasons.items() if name} == {
            "wrong": "date", "other": "job", "ended": "status", "_x": "_id", "claimed": "status", "stale": "_rev",
            "nobody": "there is no task 'nobody' that could become 'cancel'",
        }  # fmt: skip
        assert answer.json[3]["rev"] == same
        assert client.get("/tasks/other").json["_rev"] == other
        assert client.get("/tasks/moved").json["date"] == "2027-01-01T00:00:00.000Z"
        assert client.get("/tasks/ended").json["status"] == "schedule"
        stored = {task["_id"] for task in client.get("/tasks").json["tasks"]}
        assert stored == {"new", "same", "other", "moved", "ended", "last"}

    def test_the_same_id_twice_is_taken_in_order(self, bulk, client):
        answer = bulk([
            {**TASK, "_id": "a"}, {**TASK, "_id": "a"}, {**TASK, "_id": "a", "job": "x"},
            {"_id": "a", "status": "cancel"}, {"_id": "a", "status": "reschedule", "job": "x"},
        ])  # fmt: skip
        assert [one.get("error", "ok") for one in answer.json] == ["ok", "ok", "conflict", "ok", "ok"]
        task = client.get("/tasks/a").json
        assert [entry["status"] for entry in task["history"]] == ["waiting", "cancel", "reschedule"]

    def test_an_element_that_cannot_be_read_harms_no_other(self, bulk, client):
        deep = b'{"worker":"w","job":"j","x":%s}' % (b"[" * 64 + b"]" * 64)
        large = {**TASK, "x": "x" * 1024 * 1024}
        answer = bulk([TASK, deep, large, None, b'"x"', TASK])
        assert [one.get("error", "ok") for one in answer.json] == [
            "ok", "bad_request", "too_large", "bad_request", "bad_request", "ok",
        ]  # fmt: skip
        assert len(client.get("/tasks").json["tasks"]) == 2

    def test_a_field_that_is_wrong_is_named(self, bulk):
        for (field, _), one in zip(FIELDS, bulk([{**TASK, name: value} for name, value in FIELDS]).json, strict=True):
            assert one["error"] == "bad_request"
            assert one["reason"].startswith((f"{field}: ", f"{field}.", f"{field}["))

    def test_nothing_is_a_request_too(self, bulk, client):
        assert (bulk([]).status, bulk([]).json) == (201, [])

    def test_no_more_than_the_limit(self, bulk, client):
        assert told(bulk([TASK] * (MANY + 1)))[:2] == (413, "too_large")
        assert client.get("/tasks").json["tasks"] == []
        answer = bulk([{**TASK, "_id": str(number)} for number in range(MANY)])
        assert (answer.status, len(answer.json)) == (201, MANY)
        assert all(one["ok"] for one in answer.json)
        (worker,) = client.get("/tasks/workers").json["workers"]
        assert worker["tasks"] == {"waiting": MANY}


class TestForms:
    def test_lines_may_end_in_any_way(self, client):
        one = json.dumps(TASK).encode()
        for text in (one + b"\r\n" + one + b"\r\n", b"\n" + one + b"\n\n \n" + one):
            answer = client.post("/tasks/_bulk", text, NDJSON)
            assert (answer.status, len(answer.json)) == (201, 2)

    def test_a_line_that_is_not_json_harms_no_other(self, client):
        one = json.dumps(TASK).encode()
        answer = client.post("/tasks/_bulk", one + b'\n{"worker": "manobi", "jo\n' + one + b"\nNaN", NDJSON)
        assert [one.get("error", "ok") for one in answer.json] == ["ok", "bad_request", "ok", "bad_request"]

    @pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl", "Application/NDJSON; charset=utf-8"])
    def test_lines_have_several_names(self, client, kind):
        answer = client.post("/tasks/_bulk", lines([TASK, TASK]), {"Content-Type": kind})
        assert (answer.status, len(answer.json)) == (201, 2)

    @pytest.mark.parametrize("text", [b"", b"{}", b"[", b'[{"worker":"w","job":"j"}', b'[{"worker":}]', b"null", b"x"])
    def test_an_array_that_is_none_is_refused_as_a_whole(self, client, text):
        assert told(client.post("/tasks/_bulk", text))[:2] == (400, "bad_request")
        assert client.get("/tasks").json["tasks"] == []

    def test_no_other_type_and_no_query(self, client):
        assert told(client.post("/tasks/_bulk", b"[]", {"Content-Type": "text/plain"}))[0] == 415
        assert told(client.post("/tasks/_bulk", [TASK], all_or_nothing="true"))[2].startswith("all_or_nothing: ")
        assert client.get("/tasks").json["tasks"] == []

    def test_too_large_a_request(self, client):
        assert told(client.post("/tasks/_bulk", b" " * (16 * 1024 * 1024 + 1)))[:2] == (413, "too_large")
