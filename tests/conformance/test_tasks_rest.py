"""One task over REST: putting it, asking for it, and what it is called and when it is."""

from __future__ import annotations

import time
import uuid

import pytest
from rest import SEED, TASK, as_worker, follow, rev_of, stored, told

from after.dates import parse_instant


def story(task):
    return [(entry["status"], entry["by"]) for entry in task["history"]]


class TestCreating:
    def test_takes_the_first_example_there_was(self, client):
        answer = client.post("/tasks/first", SEED)
        assert answer.status == 201
        assert answer.json["ok"] is True
        task = stored(answer)
        assert answer.json["id"] == task["_id"] == "first"
        assert answer.headers["X-Couch-Update-NewRev"] == task["_rev"]
        assert task["date"] == "2011-10-12T00:00:00.000Z"
        assert {field: task[field] for field in ("worker", "job", "status")} == {
            field: SEED[field] for field in ("worker", "job", "status")
        }
        assert task["type"] == "task"
        assert story(task) == [("waiting", "client")]
        assert client.get("/tasks/first").json == task

    def test_gives_an_id_where_none_is_given(self, client):
        first, second = (client.post("/tasks", TASK) for _ in range(2))
        assert (first.status, second.status) == (201, 201)
        assert uuid.UUID(first.json["id"]).version == 7
        assert first.json["id"] < second.json["id"]
        assert follow(client, first).json == stored(first)

    def test_takes_the_id_from_the_document(self, client):
        assert client.post("/tasks", {**TASK, "_id": "a"}).json["id"] == "a"
        assert client.post("/tasks/b", {**TASK, "_id": "b"}).json["id"] == "b"

    @pytest.mark.parametrize(
        ("path", "identity"),
        [
            ("a%2Fb", "a/b"),
            ("a%2Fhistory", "a/history"),
            ("history", "history"),
            ("%E2%98%83%20%3F", "☃ ?"),
            ("a%25b", "a%b"),
            ("x" * 512, "x" * 512),
        ],
    )
    def test_takes_any_id_that_is_encoded(self, client, path, identity):
        made = client.post(f"/tasks/{path}", TASK)
        assert (made.status, made.json["id"]) == (201, identity)
        assert client.get(f"/tasks/{path}").json["_id"] == identity
        assert follow(client, made).json["_id"] == identity
        assert client.get(f"/tasks/{path}/history").json["history"] == made.json["task"]["history"]
        assert client.delete(f"/tasks/{path}").status == 200
        assert client.get(f"/tasks/{path}").status == 404

    @pytest.mark.parametrize(
        ("date", "stored"),
        [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01T09:00:00", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01T09:00:00.1239-03:00", "2026-12-01T12:00:00.123Z"),
            ("2026-12-01", "2026-12-01T00:00:00.000Z"),
            ("2028-02-29", "2028-02-29T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ],
    )
    def test_stores_dates_in_utc_to_the_millisecond(self, client, date, stored):
        assert client.post("/tasks/a", {**TASK, "date": date}).json["task"]["date"] == stored

    @pytest.mark.parametrize(("date", "seconds"), [("PT5M", 300), ("P1DT0.5S", 86400.5), ("PT0S", 0), (None, 0)])
    def test_takes_a_duration_from_now(self, client, date, seconds):
        before = int(time.time() * 1000)
        made = client.post("/tasks/a", {**TASK, "date": date}).json["task"]
        after = int(time.time() * 1000)
        assert before <= parse_instant(made["date"]) - seconds * 1000 <= after

    def test_without_a_date_it_is_due_now(self, client):
        made = client.post("/tasks/a", {"worker": "manobi", "job": "nothing"}).json["task"]
        assert made["date"] == made["history"][0]["at"]

    def test_keeps_fields_that_are_the_users_own(self, client):
        own = {"customer": {"name": "Zoë ☃", "orders": [1, 2.5, None, True]}, "tags": ["a", "b"], "big": 2**53 - 1}
        made = stored(client.post("/tasks/a", {**TASK, **own}))
        assert {field: made[field] for field in own} == own
        assert client.get("/tasks/a").json == made

    def test_takes_only_text_that_is_utf8(self, client):
        answer = client.post("/tasks/a", b'{"worker": "w", "job": "j", "x": "\xff"}')
        assert told(answer)[:2] == (400, "bad_request")
        assert client.get("/tasks/a").status == 404

    def test_keeps_a_number_of_any_length(self, client):
        big = 12345678901234567890123
        assert client.post("/tasks/a", {**TASK, "big": big}).json["task"]["big"] == big

    def test_schedule_is_a_status_of_a_new_task(self, client):
        made = client.post("/tasks/a", {**TASK, "status": "schedule"})
        assert (made.status, story(made.json["task"])) == (201, [("schedule", "client")])

    @pytest.mark.parametrize("status", ["scheduled", "running", "canceled"])
    def test_a_new_task_has_no_status_of_workers(self, client, status):
        code, error, reason = told(client.post("/tasks/a", {**TASK, "status": status}))
        assert (code, error) == (403, "forbidden")
        assert "'waiting'" in reason
        assert f"'{status}'" in reason
        assert client.get("/tasks/a").status == 404

    @pytest.mark.parametrize("status", ["done", "err", "cancel", "reschedule"])
    def test_only_what_exists_can_be_changed(self, client, status):
        assert told(client.post("/tasks/a", {**TASK, "status": status}))[:2] == (404, "not_found")
        assert client.get("/tasks/a").status == 404

    @pytest.mark.parametrize("field", ["claim", "attempt", "runs", "progress", "log", "result", "error", "history"])
    def test_a_client_sets_no_field_of_workers(self, client, field):
        values = {
            "claim": {"instance": "x", "at": "2026-12-01"}, "attempt": 1, "runs": 1, "progress": {"text": "x"},
            "log": ["x"], "result": 1, "error": {"type": "x", "message": "x"}, "history": [],
        }  # fmt: skip
        code, error, reason = told(client.post("/tasks/a", {**TASK, field: values[field]}))
        assert (code, error, reason.partition(":")[0]) == (403, "forbidden", field)
        assert client.get("/tasks/a").status == 404
        assert client.post("/tasks/a", {**TASK, field: None}).status == 201
        code, error, reason = told(client.post("/tasks/a", {"status": "reschedule", field: values[field]}))
        assert (code, error, reason.partition(":")[0]) == (403, "forbidden", field)

    def test_a_deleted_id_is_free_again(self, client):
        client.post("/tasks/a", TASK)
        client.delete("/tasks/a")
        again = client.post("/tasks/a", {**TASK, "job": "other"})
        assert (again.status, story(again.json["task"])) == (201, [("waiting", "client")])


class TestAgain:
    @pytest.mark.parametrize("date", ["2026-12-01T09:00:00Z", "2026-12-01", "PT5M", None])
    def test_the_same_again_changes_nothing(self, client, date):
        given = {**SEED, "date": date, "mine": [1]}
        first, second = (client.post("/tasks/a", given) for _ in range(2))
        assert (first.status, second.status) == (201, 200)
        assert stored(second) == stored(first)

    def test_the_same_date_may_be_written_in_another_way(self, client):
        client.post("/tasks/a", TASK)
        assert client.post("/tasks/a", {**TASK, "date": "2026-12-01T06:00-03:00"}).status == 200

    @pytest.mark.parametrize(
        ("field", "value"),
        [("job", "other"), ("worker", "other"), ("date", "2026-12-02"), ("priority", 5), ("mine", 2), ("tags", ["a"])],
    )
    def test_another_task_is_not_put_over_it(self, client, field, value):
        first = stored(client.post("/tasks/a", {**TASK, "mine": 1}))
        code, error, reason = told(client.post("/tasks/a", {**TASK, "mine": 1, field: value}))
        assert (code, error, reason.partition(":")[0]) == (409, "conflict", field)
        assert client.get("/tasks/a").json == first

    def test_a_field_that_is_missing_makes_another_task(self, client):
        client.post("/tasks/a", {**TASK, "mine": 1})
        assert told(client.post("/tasks/a", TASK))[2].startswith("mine: ")

    def test_it_is_the_same_whatever_workers_did_with_it(self, client):
        client.post("/tasks/a", TASK)
        task = as_worker(client, "a", "scheduled", "running", "done", result=4)
        again = client.post("/tasks/a", TASK)
        assert (again.status, stored(again)) == (200, task)

    def test_what_was_read_may_be_sent_back(self, client):
        task = stored(client.post("/tasks/a", TASK))
        answer = client.post("/tasks/a", task)
        assert (answer.status, stored(answer)) == (200, task)
        assert client.post("/tasks", task).status == 200

    @pytest.mark.parametrize("way", ["_rev", "If-Match"])
    def test_the_revision_is_not_a_way_round(self, client, way):
        task = stored(client.post("/tasks/a", {**TASK, "status": "waiting"}))
        body = {**TASK, "job": "other"} | ({"_rev": task["_rev"]} if way == "_rev" else {})
        headers = {"If-Match": f'"{task["_rev"]}"'} if way == "If-Match" else {}
        assert told(client.post("/tasks/a", body, headers))[:2] == (409, "conflict")
        assert client.get("/tasks/a").json == task

    def test_a_document_that_is_no_task_stays_as_it_is(self, client):
        client.put("/after/a", {"x": 1})
        assert told(client.post("/tasks/a", TASK))[:2] == (409, "conflict")
        assert told(client.get("/tasks/a"))[:2] == (404, "not_found")
        assert told(client.delete("/tasks/a"))[:2] == (404, "not_found")
        assert client.get("/after/a").json["x"] == 1


class TestReading:
    def test_a_task_has_its_revision_as_etag(self, client):
        made = client.post("/tasks/a", TASK)
        assert client.get("/tasks/a").headers["ETag"] == f'"{rev_of(made)}"'

    @pytest.mark.parametrize("given", ["{0}", "W/{0}", '"1-abc", {0}', "*"])
    def test_what_the_client_has_is_not_sent_again(self, client, given):
        made = client.post("/tasks/a", TASK)
        answer = client.get("/tasks/a")
        etag = answer.headers["ETag"]
        assert (answer.status, answer.json) == (200, stored(made))
        same = client.get("/tasks/a", {"If-None-Match": given.format(etag)})
        assert (same.status, same.content, same.headers["ETag"]) == (304, b"", etag)

    def test_what_the_client_has_not_is_sent(self, client):
        client.post("/tasks/a", TASK)
        etag = client.get("/tasks/a").headers["ETag"]
        assert client.get("/tasks/a", {"If-None-Match": '"1-abc"'}).status == 200
        client.post("/tasks/a", {"status": "cancel"})
        assert client.get("/tasks/a", {"If-None-Match": etag}).status == 200

    @pytest.mark.parametrize("path", ["/tasks", "/tasks/a", "/tasks/a/history", "/tasks/workers", "/tasks/_changes"])
    def test_head_gives_the_head_of_get(self, client, path):
        client.post("/tasks/a", TASK)
        head, get = client.call("HEAD", path, headers={"Connection": "close"}), client.get(path)
        assert (head.status, head.content) == (get.status, b"") == (200, b"")
        for name in ("Content-Type", "Content-Length", "ETag"):
            assert head.headers[name] == get.headers[name]

    @pytest.mark.parametrize("path", ["/tasks", "/tasks/a", "/tasks/a/history", "/tasks/workers"])
    def test_nothing_follows_the_head(self, client, path):
        client.post("/tasks/a", TASK)
        assert client.raw("HEAD", path).partition(b"\r\n\r\n")[2] == b""

    @pytest.mark.parametrize("path", ["/tasks/a", "/tasks/a/history", "/tasks/a/nothing", "/tasks/_nothing"])
    def test_what_is_not_there(self, client, path):
        assert told(client.get(path))[:2] == (404, "not_found")
        assert client.call("HEAD", path, headers={"Connection": "close"}).status == 404

    def test_deletes_a_task(self, client):
        made = rev_of(client.post("/tasks/a", TASK))
        answer = client.delete("/tasks/a")
        assert answer.status == 200
        assert (answer.json["ok"], answer.json["id"], rev_of(answer)[:2]) == (True, "a", "2-")
        assert told(client.get("/tasks/a"))[:2] == (404, "not_found")
        assert told(client.delete("/tasks/a", {"If-Match": made}))[:2] == (404, "not_found")
        assert client.get("/tasks").json["tasks"] == []

    def test_deletes_the_revision_that_is_meant(self, client):
        old = rev_of(client.post("/tasks/a", TASK))
        new = rev_of(client.post("/tasks/a", {"status": "cancel"}))
        assert told(client.delete("/tasks/a", {"If-Match": f'"{old}"'}))[:2] == (409, "conflict")
        assert client.delete("/tasks/a", {"If-Match": f'"{new}"'}).status == 200


class TestHistory:
    def test_goes_through_all_entries_page_by_page(self, client):
        client.post("/tasks/a", TASK)
        for number in range(10):
            client.post("/tasks/a", {"status": "reschedule", "number": number})
        whole = client.get("/tasks/a").json["history"]
        assert len(whole) == 11
        assert client.get("/tasks/a/history").json == {"history": whole, "cursor": None}
        for limit in (1, 3, 10, 11, 12):
            pages, query = [], {"limit": limit}
            while True:
                page = client.get("/tasks/a/history", **query).json
                pages += [page["history"]]
                if page["cursor"] is None:
                    break
                query["cursor"] = page["cursor"]
            assert [entry for page in pages for entry in page] == whole
            assert all(len(page) == limit for page in pages[:-1])
            assert pages[-1]

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "x"}, {"cursor": "x"}, {"cursor": ""}, {"from": "2026"}])
    def test_takes_no_other_query(self, client, query):
        client.post("/tasks/a", TASK)
        code, error, reason = told(client.get("/tasks/a/history", **query))
        assert (code, error, reason.partition(":")[0]) == (400, "bad_request", *query)
