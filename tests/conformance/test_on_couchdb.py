"""What can only be asked of CouchDB: what clients may not do, as the embedded server has no users, and what is 501."""

from __future__ import annotations

import pytest
from couchdb import URL
from protocol import TASK, error
from rest import as_worker, told
from serving import speaking

pytestmark = [
    pytest.mark.skipif(URL is None, reason="no case ran against Apache CouchDB: AFTER_TEST_COUCHDB_URL is not set"),
    pytest.mark.parametrize("engine", ["couchdb"], indirect=True),
]


@pytest.fixture
def outsider(place):
    """What speaks the document protocol with the role `client`."""
    outside = speaking(place, place.as_client)
    yield outside
    outside.close()


class TestClientsByTheDocumentProtocol:
    def test_put_a_task_and_change_it_as_by_rest(self, client, outsider):
        rev = outsider.put("/after/a", {**TASK, "status": "waiting"}).json["rev"]
        assert outsider.put("/after/a", {**TASK, "status": "cancel", "_rev": rev}).status == 201
        assert client.get("/tasks/a").json["status"] == "cancel"

    @pytest.mark.parametrize("status", ["scheduled", "running", "done", "err", "canceled"])
    def test_put_no_new_task_in_a_status_of_workers(self, client, outsider, status):
        code, name, reason = error(outsider.put("/after/a", {**TASK, "status": status}))
        assert (code, name) == (403, "forbidden")
        assert reason == f"status: a new task is 'waiting' or 'schedule'; '{status}' is set by workers only"
        assert client.get("/after/a").status == 404

    @pytest.mark.parametrize("status", ["scheduled", "running"])
    def test_claim_nothing(self, outsider, status):
        rev = outsider.put("/after/a", TASK).json["rev"]
        told = error(outsider.put("/after/a", {**TASK, "status": status, "_rev": rev}))
        assert told == (403, "forbidden", f"status: 'waiting' becomes '{status}' by a worker only")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("claim", {"instance": "x", "at": "2026-12-01"}),
            ("attempt", 5),
            ("runs", 5),
            ("progress", {"text": "x"}),
            ("log", ["x"]),
            ("result", 1),
            ("error", {"type": "x", "message": "x"}),
            ("ready", True),
            ("archived", 100),
            ("occurrence", {"start": TASK["date"], "date": TASK["date"]}),
        ],
    )
    def test_set_no_field_of_workers(self, client, outsider, field, value):
        code, name, reason = error(outsider.put("/after/a", {**TASK, field: value}))
        assert (code, name, reason.partition(":")[0]) == (403, "forbidden", field)
        client.post("/tasks/a", TASK)
        task = client.get("/after/a").json
        assert error(outsider.put("/after/a", {**task, field: value}))[:2] == (403, "forbidden")

    def test_keep_what_workers_wrote(self, client, outsider):
        client.post("/tasks/a", TASK)
        task = as_worker(client, "a", "running", attempt=1, progress={"text": "x"})
        assert outsider.put("/after/a", {**task, "status": "cancel"}).status == 201

    def test_refusals_in_bulk_are_rows(self, outsider):
        documents = [{**TASK, "_id": "a"}, {**TASK, "_id": "b", "status": "running"}]
        first, second = outsider.post("/after/_bulk_docs", {"docs": documents}).json
        assert (first["ok"], second["error"]) == (True, "forbidden")

    def test_write_no_document_of_a_worker(self, client, outsider):
        document = {"type": "worker", "name": "manobi", "instance": "1"}
        assert error(outsider.put("/after/worker:manobi:1", document))[:2] == (403, "forbidden")
        rev = client.put("/after/worker:manobi:1", document).json["rev"]
        assert error(outsider.put("/after/worker:manobi:1", {**document, "_rev": rev}))[:2] == (403, "forbidden")
        assert outsider.put("/after/worker:manobi", {"type": "control", "name": "manobi"}).status == 201
        assert outsider.put("/after/note", {"x": 1}).status == 201

    def test_write_no_archive_of_a_history(self, client, outsider):
        archive = {"type": "history", "task": "a", "number": 0, "history": []}
        refusal = (403, "forbidden", "type: an archive of a task's history is written by workers only")
        assert error(outsider.put("/after/history:a:0", archive)) == refusal
        rev = client.put("/after/history:a:0", archive).json["rev"]
        for changed in (archive, {}):
            assert error(outsider.put("/after/history:a:0", {**changed, "_rev": rev})) == refusal
        assert outsider.delete("/after/history:a:0", rev=rev).status == 200  # with its task, which they may delete

    @pytest.mark.parametrize("role", ["client", "worker"])
    def test_no_role_changes_the_rules(self, place, role):
        speaker = speaking(place, lambda path: place.route(path, role))
        rev = speaker.get("/after/_design/after").json["_rev"]
        assert speaker.put("/after/_design/after", {"_rev": rev}).status in (401, 403)
        speaker.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks/_bulk"),
        ("POST", "/tasks/_edit"),
        ("GET", "/tasks/_audit"),
        ("GET", "/tasks/_next"),
        ("GET", "/openapi.json"),
    ],
)
def test_what_no_design_document_can_serve_says_so(client, method, path):
    code, name, reason = told(client.call(method, path, [TASK] if method == "POST" else None))
    assert (code, name) == (501, "not_implemented")
    assert len(reason) > 20


def test_nobody_without_an_account_comes_in(client, place):
    stranger = speaking(place, lambda path: (place.route(path)[0], {}))
    assert stranger.get("/tasks").status == 401
    assert stranger.get("/after/_all_docs").status == 401
    assert stranger.post("/tasks", TASK).status == 401
    stranger.close()
