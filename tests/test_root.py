"""What the server says about itself and its database."""

from __future__ import annotations

import pytest


class TestServer:
    def test_says_who_it_is(self, client):
        told = client.get("/").json
        assert (told["couchdb"], told["vendor"]["name"]) == ("Welcome", "After")
        assert int(told["version"].split(".")[0]) == 3
        assert told["uuid"] == client.get("/").json["uuid"]

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
            ("*/*", "application/json"),
            ("application/json, text/html", "application/json"),
        ],
    )
    def test_shows_a_page_to_browsers_only(self, client, accept, kind):
        answer = client.get("/", {"Accept": accept})
        assert answer.headers["Content-Type"] == kind
        assert (b'href="tasks"' in answer.content) == kind.startswith("text/html")

    def test_is_up(self, client):
        assert client.get("/_up").json["status"] == "ok"

    def test_names_its_database(self, client):
        assert client.get("/_all_dbs").json == ["after"]

    def test_gives_ids_that_ascend(self, client):
        ids = client.get("/_uuids", count=50).json["uuids"]
        assert len(set(ids)) == 50
        assert ids == sorted(ids)
        assert len(client.get("/_uuids").json["uuids"]) == 1

    @pytest.mark.parametrize("count", ["1001", "-1", "x", "9" * 30])
    def test_refuses_a_count_of_ids(self, client, count):
        assert client.get("/_uuids", count=count).status == 400

    def test_everybody_is_administrator_and_nobody_can_log_in(self, client):
        assert client.get("/_session").json["userCtx"] == {"name": None, "roles": ["_admin"]}
        assert client.post("/_session", {"name": "a", "password": "b"}).status == 401
        assert client.delete("/_session").json == {"ok": True}


class TestDatabase:
    @pytest.mark.parametrize("path", ["/after", "/after/"])
    def test_describes_itself(self, client, path):
        client.put("/after/a", {})
        rev = client.put("/after/b", {}).json["rev"]
        client.delete("/after/b", rev=rev)
        told = client.get(path).json
        assert (told["db_name"], told["doc_count"], told["doc_del_count"], told["update_seq"]) == ("after", 1, 1, 3)
        assert told["instance_start_time"] == "0"

    def test_exists_already(self, client):
        assert client.put("/after", None).status == 412

    def test_cannot_be_deleted(self, client):
        assert client.delete("/after").status == 405

    def test_is_always_committed(self, client):
        answer = client.post("/after/_ensure_full_commit", b"")
        assert (answer.status, answer.json) == (201, {"ok": True, "instance_start_time": "0"})

    def test_has_neither_members_nor_another_limit(self, client):
        assert client.get("/after/_security").json == {}
        assert client.get("/after/_revs_limit").json == 100
        assert client.put("/after/_revs_limit", 5).status == 405

    def test_an_unknown_function_is_not_a_document(self, client):
        assert client.get("/after/_nothing").status == 404
        assert client.put("/after/_nothing", {}).status == 404
