"""Tasks that wait for others, as they are posted."""

from __future__ import annotations

from typing import Any

import pytest
from rest import TASK, as_worker, rev_of, told
from serving import Client

SELF = (400, "bad_request", "after: a task cannot wait for itself")


def post(client: Client, identity: str, *after: str, **more: Any) -> Any:
    return client.post(f"/tasks/{identity}", {**TASK, "after": list(after), **more})


def again(client: Client, identity: str, **changes: Any) -> Any:
    return client.post(f"/tasks/{identity}", {"status": "reschedule", **changes})


def ready(client: Client, identity: str, **more: Any) -> None:
    """Write that all that the task waited for is done, as a worker does."""
    as_worker(client, identity, "waiting", ready=True, **more)


class TestItself:
    def test_no_task_waits_for_itself(self, client: Client) -> None:
        assert told(post(client, "a", "b", "a")) == SELF
        assert told(client.post("/tasks", {**TASK, "_id": "a", "after": ["a"]})) == SELF
        assert client.get("/tasks/a").status == 404
        assert post(client, "a", "b").status == 201
        assert told(again(client, "a", after=["a"])) == SELF
        assert client.get("/tasks/a").json["after"] == ["b"]

    def test_what_is_no_list_of_ids_is_refused_for_that(self, client: Client) -> None:
        for after in ("a", [1], [["a"]], {"a": 1}, 5):
            code, error, reason = told(client.post("/tasks/a", {**TASK, "after": after}))
            assert (code, error) == (400, "bad_request")
            assert reason.startswith(("after: expected", "after[0]: expected"))


class TestChanging:
    def test_a_task_waits_anew_for_what_it_is_told_to_wait_for(self, client: Client) -> None:
        post(client, "a", "b")
        ready(client, "a")
        assert client.get("/tasks/a").json["ready"] is True
        task = again(client, "a", after=["c"]).json["task"]
        assert (task["after"], "ready" in task) == (["c"], False)

    def test_another_change_leaves_it_ready(self, client: Client) -> None:
        post(client, "a", "b")
        ready(client, "a")
        assert again(client, "a", priority=5).json["task"]["ready"] is True

    def test_a_task_that_begins_anew_waits_again(self, client: Client) -> None:
        post(client, "a", "b")
        ready(client, "a")
        as_worker(client, "a", "scheduled", "done")
        task = client.post("/tasks/a", {"status": "schedule"}).json["task"]
        assert (task["status"], "ready" in task) == ("schedule", False)

    @pytest.mark.parametrize("field", ["ready", "occurrence", "archived"])
    def test_a_client_sets_nothing_of_it(self, client: Client, field: str) -> None:
        values = {"ready": True, "archived": 100, "occurrence": {"start": TASK["date"], "date": TASK["date"]}}
        post(client, "a", "b")
        for answer in (again(client, "a", **{field: values[field]}), post(client, "c", "b", **{field: values[field]})):
            assert told(answer) == (403, "forbidden", f"{field}: is set by workers only")

    def test_what_was_read_may_be_sent_back(self, client: Client) -> None:
        post(client, "a", "b", key="k")
        ready(client, "a")
        task = client.get("/tasks/a").json
        assert client.post("/tasks/a", task).status == 200
        assert client.get("/tasks/a").json == task


class TestCircles:
    def test_none_is_closed(self, client: Client) -> None:
        post(client, "a", "b")
        post(client, "b", "x", "c")
        circle = "after: 'c' waits for 'a', which waits for 'b', which waits for 'c'"
        assert told(post(client, "c", "y", "a")) == (400, "bad_request", circle)
        assert client.get("/tasks/c").status == 404
        assert post(client, "c", "y").status == 201
        assert told(again(client, "c", after=["a"])) == (400, "bad_request", circle)
        assert client.get("/tasks/c").json["after"] == ["y"]

    def test_what_has_ended_or_is_free_waits_for_nobody(self, client: Client) -> None:
        for end in ("free", "ended", "changed", "deleted"):
            post(client, f"{end}-a", f"{end}-b")
        ready(client, "free-a")
        client.post("/tasks/ended-a", {"status": "done"})
        again(client, "changed-a", after=[])
        rev_of(client.delete("/tasks/deleted-a"))
        for end in ("free", "ended", "changed", "deleted"):
            assert post(client, f"{end}-b", f"{end}-a").status == 201

    def test_what_begins_anew_may_close_one_too(self, client: Client) -> None:
        post(client, "a", "b")
        client.post("/tasks/a", {"status": "err"})
        post(client, "b", "a")
        code, _, reason = told(client.post("/tasks/a", {"status": "schedule"}))
        assert (code, reason) == (400, "after: 'a' waits for 'b', which waits for 'a'")

    def test_one_that_is_there_already_can_be_ended(self, client: Client) -> None:
        for identity, other in ("ab", "ba"):
            client.put(f"/after/{identity}", {**TASK, "after": [other]})
        assert again(client, "a", priority=5).status == 200
        assert client.post("/tasks/a", {"status": "cancel"}).status == 200
        assert again(client, "b", after=[]).status == 200

    def test_in_bulk_the_task_that_closes_one_is_refused(self, client: Client) -> None:
        post(client, "old")
        tasks = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("old", "n"), ("b", "z"), ("n", "old"), ("e", "e")]
        rows = client.post("/tasks/_bulk", [{**TASK, "_id": one, "after": [other]} for one, other in tasks]).json
        assert [row.get("error", "ok") for row in rows] == [
            "ok", "ok", "bad_request", "ok", "conflict", "conflict", "ok", "bad_request",
        ]  # fmt: skip
        assert rows[2]["reason"] == "after: 'c' waits for 'a', which waits for 'b', which waits for 'c'"
        changes = [{"_id": one, "status": "reschedule", "after": [other]} for one, other in (("b", "x"), ("x", "b"))]
        rows = client.post("/tasks/_bulk", [*changes, {**TASK, "_id": "x", "after": ["b"]}]).json
        assert [row.get("error", "ok") for row in rows] == ["bad_request", "ok", "ok"], "what is new is written first"
        rows = client.post(
            "/tasks/_bulk",
            [
                {"_id": one, "status": "reschedule", "after": [other]}
                for one, other in (("d", "e"), ("x", "d"), ("d", "x"))
            ],
        ).json
        assert [row.get("error", "ok") for row in rows] == ["ok", "ok", "bad_request"]
