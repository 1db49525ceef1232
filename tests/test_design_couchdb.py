"""The design document in a real CouchDB: what it compiles, runs and refuses there."""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Answer, Client

from after.design import design_document
from after.status import Role, Status, refused
from after.task import Document

URL = os.environ.get("AFTER_TEST_COUCHDB_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="AFTER_TEST_COUCHDB_URL is not set: not run against CouchDB")

TASK: Document = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T09:00:00Z", "status": "waiting"}
MS = 1_796_115_600_000
AT = "2026-12-01T09:00:00.000Z"


class Database:
    """A fresh database with the design document, and three who use it: an admin, a worker and a client."""

    def __init__(self) -> None:
        where = urlsplit(URL)
        self._client = Client(where.hostname or "127.0.0.1", where.port or 5984)
        self._admin = f"{where.username}:{where.password}"
        self.name = f"rules-{uuid.uuid4().hex[:8]}"
        assert self._send("admin", "PUT", f"/{self.name}").status == 201
        for role in Role:
            user = {"name": f"{self.name}-{role}", "password": self.name, "roles": [role], "type": "user"}
            assert self._send("admin", "PUT", f"/_users/org.couchdb.user:{user['name']}", user).status == 201
        everyone = {"admins": {"names": [], "roles": ["_admin"]}, "members": {"names": [], "roles": list(Role)}}
        assert self._send("admin", "PUT", f"/{self.name}/_security", everyone).status == 200
        assert self.call("admin", "PUT", "_design/after", design_document()).status == 201

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request below the database as one of the three."""
        return self._send(
            who, method, f"/{self.name}/{path}", body, {name.replace("_", "-"): v for name, v in headers.items()}
        )

    def task(self, who: str, method: str, identity: str, body: Any = None, **headers: str) -> Answer:
        """Send a request to the update function of tasks."""
        return self.call(who, method, f"_design/after/_update/task/{identity}", body, **headers)

    def view(self, name: str, query: str = "reduce=false") -> list[tuple[Any, Any]]:
        answer = self.call("client", "GET", f"_design/after/_view/{name}?{query}")
        assert answer.status == 200, answer.json
        return [(row["key"], row["value"]) for row in answer.json["rows"]]

    def remove(self) -> None:
        self._send("admin", "DELETE", f"/{self.name}")
        for role in Role:
            path = f"/_users/org.couchdb.user:{self.name}-{role}"
            self._send("admin", "DELETE", f"{path}?rev={self._send('admin', 'GET', path).json['_rev']}")
        self._client.close()

    def _send(
        self, who: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        account = self._admin if who == "admin" else f"{self.name}-{who}:{self.name}"
        token = {"Authorization": f"Basic {b64encode(account.encode()).decode()}"}
        return self._client.call(method, path, body, {**token, **(headers or {})})


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.remove()


def refusal(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.json["error"], answer.json["reason"]


def test_a_task_is_created_found_again_changed_and_removed(database: Database) -> None:
    new = database.task("client", "POST", "a", TASK)
    assert (new.status, new.headers["Content-Type"]) == (201, "application/json")
    assert new.headers["Location"] == f"/{database.name}/_design/after/_rewrite/tasks/a"
    rev = new.headers["X-Couch-Update-NewRev"]
    assert new.json["task"]["history"][0]["date"] == AT
    assert database.call("client", "GET", "a").json == {**new.json["task"], "_rev": rev}

    same = database.task("client", "POST", "a", TASK)
    assert (same.status, same.json["rev"], same.headers["X-Couch-Update-NewRev"]) == (200, rev, rev)
    other = database.task("client", "POST", "a", {**TASK, "job": "other"})
    assert refusal(other)[:2] == (409, "conflict")
    assert other.json["reason"].startswith("job: the task 'a' exists with another job; to change it")
    assert refusal(database.task("client", "POST", "a", {"status": "running"}))[:2] == (403, "forbidden")
    assert refusal(database.task("client", "POST", "a", {"status": "cancel"}, If_Match='"1-x"'))[0] == 409

    changed = database.task("client", "POST", "a", {"status": "cancel"}, If_Match=f'"{rev}"')
    assert (changed.status, changed.json["task"]["status"]) == (200, "cancel")
    assert database.call("client", "GET", "a").json["_rev"] == changed.headers["X-Couch-Update-NewRev"]
    assert database.task("client", "DELETE", "a").json == {"ok": True, "id": "a"}
    assert database.call("client", "GET", "a").status == 404
    assert database.task("client", "POST", "a", TASK).status == 201
    assert database.task("client", "DELETE", "a").status == 200
    assert refusal(database.task("client", "DELETE", "a")) == (404, "not_found", "there is no task 'a'")


def test_what_ended_runs_once_more_by_a_client_though_workers_have_written_in_it(database: Database) -> None:
    ended = {**TASK, "status": "done", "result": {"sold": 3}, "attempt": 2, "history": [{"at": AT, "status": "done"}]}
    assert database.call("worker", "PUT", "again", ended).status == 201
    answer = database.task("client", "POST", "again", {"status": "schedule"})
    assert (answer.status, answer.json["task"]["attempt"]) == (200, 0)
    assert database.task("client", "DELETE", "again").status == 200


def test_an_id_is_made_and_wrong_bodies_are_refused(database: Database) -> None:
    made = database.call("client", "POST", "_design/after/_update/task", {**TASK, "date": "PT5M", "own": "é🦆"})
    assert made.status == 201
    assert made.headers["Location"].endswith(made.json["id"])
    assert database.call("client", "GET", made.json["id"]).json["own"] == "é🦆"
    assert database.task("client", "DELETE", made.json["id"]).status == 200

    assert refusal(database.task("client", "POST", "b", b"{}", Content_Type="text/plain"))[:2] == (
        415,
        "bad_content_type",
    )
    assert refusal(database.task("client", "POST", "b", b"{"))[:2] == (400, "bad_request")
    assert refusal(database.task("client", "POST", "b", []))[2] == "the body: expected a JSON object, got an array"
    deep = b'{"worker":"w","job":"j","own":' + b"[" * 3000 + b"]" * 3000 + b"}"
    assert refusal(database.task("client", "POST", "b", deep))[2] == "the document is nested deeper than 64 levels"
    long = {**TASK, "own": "é" * 600_000}
    assert refusal(database.task("client", "POST", "b", json.dumps(long, ensure_ascii=False).encode()))[0] == 413
    assert refusal(database.task("client", "POST", "b", {**TASK, "date": "2026-13-01"})) == (
        400, "bad_request", "date: '2026-13-01' is not an ISO 8601 date",
    )  # fmt: skip


def test_the_rules_hold_for_every_change_of_status(database: Database) -> None:
    for role in Role:
        cases = [(old, new) for old in [None, *Status] for new in Status]
        ids = [f"{role}:{number}" for number in range(len(cases))]
        stored = [{"_id": one, **TASK, "status": old} for one, (old, _) in zip(ids, cases, strict=True) if old]
        rows = database.call("admin", "POST", "_bulk_docs", {"docs": stored}).json
        revs = {row["id"]: {"_rev": row["rev"]} for row in rows}
        wanted = [
            {"_id": one, **revs.get(one, {}), **TASK, "status": new} for one, (_, new) in zip(ids, cases, strict=True)
        ]
        told = database.call(role, "POST", "_bulk_docs", {"docs": wanted}).json
        assert [row.get("reason") for row in told] == [refused(old, new, role) for old, new in cases]
        current = database.call("client", "GET", "_all_docs").json["rows"]
        gone = [
            {"_id": row["id"], "_rev": row["value"]["rev"], "_deleted": True} for row in current if ":" in row["id"]
        ]
        assert all("rev" in row for row in database.call("client", "POST", "_bulk_docs", {"docs": gone}).json)


def test_the_rules_hold_for_fields_and_documents_of_workers(database: Database) -> None:
    claimed = {**TASK, "claim": {"instance": "i", "at": AT}}
    assert refusal(database.call("client", "PUT", "c", claimed)) == (403, "forbidden", "claim: is set by workers only")
    assert refusal(database.call("worker", "PUT", "c", {**TASK, "retry": {"limit": -1}})) == (
        403, "forbidden", "retry.limit: expected `integer` >= 0",
    )  # fmt: skip
    assert refusal(database.call("admin", "PUT", "c", {**TASK, "priority": "high"}))[0] == 403
    assert database.call("client", "PUT", "worker:x:1", {"type": "worker", "name": "x"}).status == 403
    assert database.call("client", "PUT", "other", {"colour": "red"}).status == 201


def test_a_worker_is_paused(database: Database) -> None:
    path = "_design/after/_update/worker/worker:manobi"
    answer = database.call("client", "POST", path, {"paused": True, "note": "stocktaking"})
    assert answer.json == {"ok": True, "worker": {"name": "manobi", "paused": True, "note": "stocktaking"}}
    assert database.call("client", "GET", "worker:manobi").json["paused"] is True
    assert database.view("roster", "group=true") == [
        (["manobi", "control", {"note": "stocktaking", "paused": True}], 1)
    ]
    assert refusal(database.call("client", "POST", path, {})) == (400, "bad_request", "paused: expected true or false")


def test_the_views(database: Database) -> None:
    process = {"_id": "worker:manobi:1", "type": "worker", "name": "manobi", "state": "running"}
    claim = {"claim": {"instance": "1", "at": AT}}
    docs: list[Document] = [
        {"_id": "v1", **TASK},
        {"_id": "v2", **TASK, "status": "running", **claim},
        {"_id": "v3", **TASK, "status": "reschedule", **claim},
        {"_id": "v4", **TASK, "status": "done"},
        {"_id": "v5", "worker": "eve", "job": "j"},
        process,
    ]
    assert all("rev" in row for row in database.call("worker", "POST", "_bulk_docs", {"docs": docs}).json)
    twin = {"_id": "v1", "_rev": "1-abc", **TASK}
    assert database.call("admin", "POST", "_bulk_docs", {"docs": [twin], "new_edits": False}).json == []

    assert database.view("due", "") == [(["eve", 0], None), (["manobi", 0], None), (["manobi", MS], None)]
    assert database.view("held", "") == [(["manobi", "1"], None)] * 2
    assert database.view("by_date", "") == [([0], None)] + [([MS], None)] * 4
    assert [key for key, _ in database.view("by_status", "")] == [
        ["done", MS], ["reschedule", MS], ["running", MS], ["waiting", 0], ["waiting", MS],
    ]  # fmt: skip
    assert (["manobi", "done"], 1) in database.view("by_worker", "group_level=2")
    assert len(database.view("by_worker_date", 'startkey=["manobi"]&endkey=["manobi",{}]')) == 4
    assert database.view("workers", "") == [(["manobi", "1"], "running")]
    assert database.view("conflicts", "") == [(["v1"], "manobi")]
    roster = database.view("roster", "group=true")
    assert (["manobi", "task", "waiting"], 1) in roster
    assert any(key[1] == "instance" and key[2]["state"] == "running" for key, _ in roster)
