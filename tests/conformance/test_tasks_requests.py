"""Changing a task over REST: the statuses that a client may set, and the revision that it means."""

from __future__ import annotations

import threading

import pytest
from rest import TASK, as_worker, stored, told

from after.dates import parse_instant
from after.status import ENDED, TRANSITIONS, Role, Status

BY_CLIENT = ("waiting", "schedule", "reschedule", "cancel", "done", "err")
PATHS = {
    "waiting": (),
    "scheduled": ("scheduled",),
    "running": ("running",),
    "done": ("running", "done"),
    "err": ("running", "err"),
    "canceled": ("cancel", "canceled"),
    "cancel": ("cancel",),
    "schedule": ("schedule",),
    "reschedule": ("reschedule",),
}
"""How a new task comes into each status."""


def put(client, status, identity="a", **fields):
    client.post(f"/tasks/{identity}", {**TASK, **fields})
    return as_worker(client, identity, *PATHS[status])


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", ["schedule", "reschedule", "cancel", "done", "err"])
def test_takes_what_the_table_allows_a_client(client, old, new):
    before = put(client, old)
    answer = client.post("/tasks/a", {"status": new})
    if old == new:
        assert (answer.status, stored(answer)) == (200, before)
    elif Role.CLIENT in TRANSITIONS.get((old, new), ()):
        assert answer.status == 200
        task = stored(answer)
        assert task["status"] == new
        assert task["history"][: len(before["history"])] == before["history"]
        (entry,) = task["history"][len(before["history"]) :]
        assert (entry["status"], entry["by"]) == (new, "client")
        assert client.get("/tasks/a").json == task
    else:
        code, error, reason = told(answer)
        assert (code, error, reason) == (403, "forbidden", f"status: '{old}' cannot become '{new}'")
        assert client.get("/tasks/a").json == before


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", ["scheduled", "running", "canceled"])
@pytest.mark.parametrize("more", [{}, TASK])
def test_never_takes_a_status_of_workers(client, old, new, more):
    before = put(client, old)
    code, error, reason = told(client.post("/tasks/a", {**more, "status": new}))
    assert (code, error) == (403, "forbidden")
    assert reason.startswith("status: ")
    assert f"'{old}'" in reason
    assert f"'{new}'" in reason
    assert client.get("/tasks/a").json == before


class TestChanging:
    def test_reschedule_changes_the_fields_it_gives(self, client):
        put(client, "waiting", mine=1, kept=2)
        changes = {"status": "reschedule", "date": "PT1H", "job": "other", "mine": [2], "retry": {"limit": 3}}
        task = client.post("/tasks/a", changes).json["task"]
        assert (task["job"], task["mine"], task["kept"], task["retry"]) == ("other", [2], 2, {"limit": 3})
        entry = task["history"][-1]
        assert entry["date"] == task["date"]
        assert abs(parse_instant(task["date"]) - parse_instant(entry["at"]) - 3_600_000) < 1_000

    @pytest.mark.parametrize("old", sorted(ENDED))
    def test_schedule_runs_what_has_ended_again(self, client, old):
        put(client, old)
        task = client.post("/tasks/a", {"status": "schedule"}).json["task"]
        assert task["date"] == task["history"][-1]["at"]
        task = as_worker(client, "a", "running", "done", result=1, attempt=1)
        again = client.post("/tasks/a", {"status": "schedule", "date": "2027-01-01"}).json["task"]
        assert again["date"] == "2027-01-01T00:00:00.000Z"
        assert again["attempt"] == 0
        assert not again.keys() & {"result", "error", "claim"}
        assert again["history"][:-1] == task["history"]

    def test_a_client_completes_a_task_from_outside(self, client):
        put(client, "waiting")
        task = client.post("/tasks/a", {"status": "done", "note": "by hand"}).json["task"]
        assert (task["status"], task["note"]) == ("done", "by hand")

    def test_a_change_that_leaves_a_wrong_task_is_refused(self, client):
        before = put(client, "waiting")
        for field, value in (("worker", None), ("job", 1), ("date", "x"), ("priority", 101), ("retry", {"limit": -1})):
            code, error, reason = told(client.post("/tasks/a", {"status": "reschedule", field: value}))
            assert (code, error) == (400, "bad_request")
            assert reason.startswith(field)
        assert client.get("/tasks/a").json == before

    def test_asking_twice_asks_once(self, client):
        put(client, "waiting")
        first, second = (client.post("/tasks/a", {"status": "reschedule", "date": "2027-01-01"}) for _ in range(2))
        assert stored(second) == stored(first)

    @pytest.mark.parametrize("way", ["_rev", "If-Match", "both"])
    def test_the_revision_that_is_meant_must_be_current(self, client, way):
        def cancel(meant):
            body = {"status": "cancel"} | ({"_rev": meant} if way != "If-Match" else {})
            return client.post("/tasks/a", body, {"If-Match": f'"{meant}"'} if way != "_rev" else {})

        old = put(client, "waiting")["_rev"]
        new = stored(client.post("/tasks/a", {"status": "reschedule", "date": "2027-01-01"}))
        for stale in (old, "1-abc", "x"):
            assert told(cancel(stale))[:2] == (409, "conflict")
        assert client.get("/tasks/a").json == new
        assert cancel(new["_rev"]).status == 200

    def test_revisions_must_agree(self, client):
        rev = put(client, "waiting")["_rev"]
        answer = client.post("/tasks/a", {"status": "cancel", "_rev": rev}, {"If-Match": '"1-abc"'})
        assert answer.status in (400, 409)
        assert answer.json["reason"].startswith("_rev")

    def test_a_revision_of_nothing_makes_nothing(self, client):
        assert told(client.post("/tasks/a", {**TASK, "_rev": "1-abc"}))[:2] == (409, "conflict")
        assert told(client.post("/tasks/a", TASK, {"If-Match": '"1-abc"'}))[:2] == (409, "conflict")
        assert client.get("/tasks/a").status == 404

    def test_any_revision_may_be_meant(self, client):
        put(client, "waiting")
        assert client.post("/tasks/a", {"status": "cancel"}, {"If-Match": "*"}).status == 200
        assert client.delete("/tasks/a", {"If-Match": "*"}).status == 200

    def test_of_many_at_once_none_is_lost(self, client):
        put(client, "waiting")
        answers = {}

        def change(number):
            answers[number] = client.stream("/tasks/a", {"status": "reschedule", f"n{number}": 1}).status

        threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers.values()) <= {200, 409}, "on CouchDB somebody else may have been faster"
        taken = [number for number, code in answers.items() if code == 200]
        assert taken
        task = client.get("/tasks/a").json
        assert [number for number in range(8) if task.get(f"n{number}") == 1] == sorted(taken)
        assert len(task["history"]) == 1 + len(taken)
