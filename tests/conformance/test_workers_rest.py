"""The workers over REST: who they are, what they do, and pausing them."""

from __future__ import annotations

import time

import pytest
from rest import TASK, as_worker, told

from after.dates import format_instant


def present(client, name, instance, state="running", silent=0.0, **fields):
    """Write the document of a worker process that was last heard of so many seconds ago."""
    heartbeat = format_instant(int((time.time() - silent) * 1000))
    document = {"type": "worker", "name": name, "instance": instance, "state": state, "heartbeat": heartbeat, **fields}
    assert client.put(f"/after/worker:{name}:{instance}", document).status == 201


class TestReading:
    def test_there_may_be_none(self, client):
        assert client.get("/tasks/workers").json == {"workers": []}
        assert told(client.get("/tasks/workers/manobi"))[:2] == (404, "not_found")

    def test_a_worker_is_known_by_its_tasks(self, client):
        for name in "abc":
            client.post(f"/tasks/{name}", TASK)
        as_worker(client, "a", "running", "done")
        client.post("/tasks/b", {"status": "cancel"})
        (worker,) = client.get("/tasks/workers").json["workers"]
        assert worker == {
            "name": "manobi", "state": "down", "paused": False, "note": None, "jobs": [], "instances": [],
            "tasks": {"waiting": 1, "done": 1, "cancel": 1},
        }  # fmt: skip
        assert client.get("/tasks/workers/manobi").json == worker

    def test_a_worker_is_known_by_its_processes(self, client):
        present(client, "manobi", "w1", jobs=["mail", "bill"], host="h", pid=5, running=2)
        present(client, "manobi", "w2", jobs=["mail", "ship"])
        present(client, "manobi", "w3", silent=60, jobs=["old"])
        present(client, "manobi", "w4", "stopped", jobs=["old"])
        present(client, "manobi2", "w5")
        worker = client.get("/tasks/workers/manobi").json
        assert (worker["state"], worker["jobs"]) == ("running", ["bill", "mail", "ship"])
        states = {one["instance"]: one["state"] for one in worker["instances"]}
        assert states == {"w1": "running", "w2": "running", "w3": "lost", "w4": "stopped"}
        first = worker["instances"][0]
        assert (first["host"], first["pid"], first["running"]) == ("h", 5, 2)
        assert [one["name"] for one in client.get("/tasks/workers").json["workers"]] == ["manobi", "manobi2"]

    @pytest.mark.parametrize(
        ("processes", "state"),
        [
            ([("stopped", 0)], "stopped"),
            ([("running", 60)], "down"),
            ([("stopped", 0), ("running", 60)], "down"),
            ([("draining", 0)], "draining"),
            ([("running", 0), ("stopped", 0)], "running"),
        ],
    )
    def test_says_how_the_worker_is(self, client, processes, state):
        for number, (own, silent) in enumerate(processes):
            present(client, "manobi", f"w{number}", own, silent)
        assert client.get("/tasks/workers/manobi").json["state"] == state

    @pytest.mark.parametrize(
        "name", ["ü ☃", "a:b", "a%2", "x" * 128, "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "~", "history", "_x"]
    )
    def test_a_name_may_be_anything(self, client, name):
        path = "".join(f"%{byte:02x}" for byte in name.encode())
        assert told(client.get(f"/tasks/workers/{path}"))[:2] == (404, "not_found")
        assert client.post("/tasks/a", {**TASK, "worker": name}).status == 201
        assert client.get(f"/tasks/workers/{path}").json["tasks"] == {"waiting": 1}
        assert client.post(f"/tasks/workers/{path}", {"paused": True}).json["worker"]["paused"] is True
        assert client.get(f"/tasks/workers/{path}").json["paused"] is True
        assert [one["name"] for one in client.get("/tasks/workers").json["workers"]] == [name]

    @pytest.mark.parametrize("path", ["x" * 129, "%ff", "a%2Fb", "a/b"])
    def test_no_worker_has_another_name(self, client, path):
        assert told(client.get(f"/tasks/workers/{path}"))[0] in (400, 404)

    @pytest.mark.parametrize(
        "document",
        [
            {"type": "worker"},
            {"type": "control"},
            {"type": "worker", "name": 5, "instance": "x"},
            {"type": "worker", "name": ["x"], "state": "running"},
            {"type": "control", "name": {}},
            {"type": "worker", "name": "w"},
            {"type": "worker", "name": "w", "state": {}, "jobs": 5, "heartbeat": 5},
            {"type": "worker", "name": "w", "state": "running", "jobs": [1, "x", []]},
            {"type": "control", "name": "w", "paused": "x", "note": 5},
            {"name": "w"},
        ],
    )
    def test_a_document_that_somebody_made_up_harms_nobody(self, client, document):
        client.post("/tasks/a", TASK)
        present(client, "manobi", "w1")
        heartbeat = {"heartbeat": format_instant(int(time.time() * 1000)), **document}
        assert client.put("/after/worker:w:x", heartbeat).status == 201
        answer = client.get("/tasks/workers")
        assert answer.status == 200
        assert "manobi" in [one["name"] for one in answer.json["workers"]]
        assert client.get("/tasks/workers/manobi").json["state"] == "running"
        assert client.get("/tasks/workers/w").status in (200, 404)


class TestPausing:
    def test_pauses_and_resumes_with_a_note(self, client):
        present(client, "manobi", "w1")
        answer = client.post("/tasks/workers/manobi", {"paused": True, "note": "the shop is closed"})
        assert (answer.status, answer.json["ok"]) == (200, True)
        worker = client.get("/tasks/workers/manobi").json
        assert (worker["paused"], worker["state"], worker["note"]) == (True, "paused", "the shop is closed")
        assert {"name", "paused", "note"} <= answer.json["worker"].keys()
        assert answer.json["worker"].items() <= worker.items()
        control = client.get("/after/worker:manobi").json
        assert (control["type"], control["name"], control["paused"], control["by"]) == (
            "control",
            "manobi",
            True,
            "client",
        )
        assert client.post("/tasks/a", TASK).status == 201
        assert client.post("/tasks/workers/manobi", {"paused": False}).json["worker"]["paused"] is False
        again = client.get("/tasks/workers/manobi").json
        assert (again["paused"], again["state"], again["note"]) == (False, "running", None)

    def test_keeps_what_else_the_control_document_says(self, client):
        client.post("/tasks/a", TASK)
        client.put("/after/worker:manobi", {"type": "control", "name": "manobi", "stop": "now"})
        client.post("/tasks/workers/manobi", {"paused": True})
        assert client.get("/after/worker:manobi").json["stop"] == "now"

    def test_only_a_worker_that_there_is(self, client):
        assert told(client.post("/tasks/workers/manobi", {"paused": True}))[:2] == (404, "not_found")
        assert client.get("/after/worker:manobi").status == 404

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "paused"),
            ({"paused": None}, "paused"),
            ({"paused": "true"}, "paused"),
            ({"paused": 1}, "paused"),
            ({"paused": True, "note": 5}, "note"),
            ({"paused": True, "until": "2027"}, "until"),
            ([], "the body"),
        ],
    )
    def test_says_what_is_wrong(self, client, body, field):
        client.post("/tasks/a", TASK)
        code, error, reason = told(client.post("/tasks/workers/manobi", body))
        assert (code, error, reason.partition(":")[0]) == (400, "bad_request", field)
        assert client.get("/after/worker:manobi").status == 404
