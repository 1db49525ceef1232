"""The document protocol over HTTP, one document at a time."""

from __future__ import annotations

import pytest
from protocol import TASK, error, follow, last_seq, names

JSON = {"Accept": "application/json"}
CONFLICT = (409, "conflict", "Document update conflict.")
MISSING = (404, "not_found", "missing")


class TestWriting:
    def test_puts_a_document_and_gives_it_back(self, client):
        written = client.put("/after/a", {"x": 1})
        rev = written.json["rev"]
        assert (written.status, written.json) == (201, {"ok": True, "id": "a", "rev": rev})
        assert rev.startswith("1-")
        assert written.headers["ETag"] == f'"{rev}"'
        assert written.headers["Location"].endswith("/a")
        assert client.get("/after/a").json == {"_id": "a", "_rev": rev, "x": 1}

    @pytest.mark.parametrize(
        ("path", "identity"),
        [
            ("a%2Fb", "a/b"),
            ("worker:x:1", "worker:x:1"),
            ("%C3%A9%20%3F", "é ?"),
            ("_design/x", "_design/x"),
            ("_design%2Fx", "_design/x"),
            ("a%25b", "a%b"),
        ],
    )
    def test_takes_ids_from_the_path_as_they_are_encoded(self, client, path, identity):
        assert client.put(f"/after/{path}", {}).json["id"] == identity
        assert client.get(f"/after/{path}").json["_id"] == identity
        assert names(client) == [identity]

    def test_the_location_leads_to_the_document(self, client):
        assert follow(client, client.put("/after/a%2Fb%3F", {})).json["_id"] == "a/b?"

    def test_posts_a_document_with_and_without_an_id(self, client):
        assert client.post("/after", {"_id": "a"}).json["id"] == "a"
        first, second = (client.post("/after", {"x": 1}).json["id"] for _ in range(2))
        assert first != second
        assert client.get(f"/after/{first}").json["x"] == 1

    def test_needs_the_current_revision(self, client):
        first = client.put("/after/a", {}).json["rev"]
        second = client.put("/after/a", {"_rev": first}).json["rev"]
        assert second.startswith("2-")
        for stale in ({}, {"_rev": first}, {"_rev": "9-abc"}):
            assert error(client.put("/after/a", stale)) == CONFLICT
        assert error(client.put("/after/new", {"_rev": first})) == CONFLICT

    def test_the_same_edit_is_the_same_revision(self, client):
        first, second = (client.put(f"/after/{name}", {"x": 1}).json["rev"] for name in "ab")
        assert first == second

    @pytest.mark.parametrize("way", ["body", "query", "header", "all"])
    def test_takes_the_revision_from_anywhere(self, client, way):
        rev = client.put("/after/a", {}).json["rev"]
        body = {"_rev": rev} if way in ("body", "all") else {}
        query = {"rev": rev} if way in ("query", "all") else {}
        headers = {"If-Match": f'"{rev}"'} if way in ("header", "all") else {}
        assert client.put("/after/a", body, headers, **query).status == 201

    def test_revisions_must_agree(self, client):
        rev = client.put("/after/a", {}).json["rev"]
        assert error(client.put("/after/a", {"_rev": rev}, rev="1-abc"))[0] == 400
        assert error(client.put("/after/a", {"_rev": rev}, {"If-Match": '"1-abc"'}))[0] == 400
        assert error(client.put("/after/a", {}, {"If-Match": '"1-abc"'}, rev=rev))[0] == 400
        assert client.get("/after/a").json["_rev"] == rev

    @pytest.mark.parametrize("rev", ["x", "0-abc", "1-XYZ", 5, ""])
    def test_refuses_what_is_no_revision(self, client, rev):
        assert error(client.put("/after/a", {"_rev": rev})) == (400, "bad_request", "Invalid rev format")

    @pytest.mark.parametrize("identity", ["_x", "_design/", "a" * 513, "", 5, None, "a\0b"])
    def test_refuses_an_id(self, client, identity):
        assert error(client.post("/after", {"_id": identity}))[:2] == (400, "illegal_docid")

    def test_refuses_an_id_that_is_not_utf8(self, client):
        assert error(client.put("/after/%FF", {}))[:2] == (400, "illegal_docid")

    def test_refuses_unknown_fields_with_an_underscore(self, client):
        expected = (400, "doc_validation", "Bad special document member: _x")
        assert error(client.put("/after/a", {"_x": 1})) == expected
        assert error(client.put("/after/a", {"_deleted": 1}))[:2] == (400, "doc_validation")
        assert error(client.put("/after/a", {"_attachments": {"a": {}}}))[0] == 400

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"a":"\xff"}'])
    def test_refuses_what_is_no_json_object(self, client, body):
        assert error(client.put("/after/a", body))[:2] == (400, "bad_request")

    def test_refuses_a_document_that_is_too_deep(self, client):
        assert error(client.put("/after/a", b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"))[:2] == (400, "bad_request")

    def test_refuses_a_document_that_is_too_large(self, client):
        assert error(client.put("/after/a", {"x": "y" * 1_100_000}))[:2] == (413, "too_large")

    def test_put_takes_any_simple_content_type_and_post_only_json(self, client):
        assert client.put("/after/a", {}, {"Content-Type": "application/x-www-form-urlencoded"}).status == 201
        assert client.post("/after", {}, {"Content-Type": "text/plain"}).status == 415

    def test_refuses_unknown_parameters(self, client):
        assert "foo" in error(client.put("/after/a", {}, foo="1"))[2]
        assert error(client.get("/after/a", foo="1"))[0] == 400

    def test_a_batched_write_is_accepted(self, client):
        reader = client.stream("/after/_changes", feed="longpoll", since=last_seq(client))
        assert client.put("/after/a", {}, batch="ok").status == 202
        assert b'"id":"a"' in reader.read()
        assert client.get("/after/a").status == 200


class TestTasks:
    def test_a_wrong_field_is_forbidden_and_named(self, client):
        status, name, reason = error(client.put("/after/t", {**TASK, "date": "tomorrow"}))
        assert (status, name) == (403, "forbidden")
        assert reason == "date: 'tomorrow' is not an ISO 8601 date"

    def test_an_unknown_transition_is_forbidden_and_names_both_statuses(self, client):
        rev = client.put("/after/t", {**TASK, "status": "done"}).json["rev"]
        status, name, reason = error(client.put("/after/t", {**TASK, "status": "running", "_rev": rev}))
        assert (status, name) == (403, "forbidden")
        assert "done" in reason
        assert "running" in reason

    def test_a_worker_claims(self, client):
        rev = client.put("/after/t", TASK).json["rev"]
        claimed = {**TASK, "_rev": rev, "status": "scheduled", "claim": {"instance": "i", "at": "2026-12-01"}}
        assert client.put("/after/t", claimed).status == 201


class TestReading:
    def test_tells_missing_from_deleted(self, client):
        rev = client.put("/after/a", {}).json["rev"]
        client.delete("/after/a", rev=rev)
        assert error(client.get("/after/a")) == (404, "not_found", "deleted")
        assert error(client.get("/after/b")) == MISSING

    def test_head_has_the_etag_and_no_body(self, client):
        rev = client.put("/after/a", {}).json["rev"]
        answer = client.call("HEAD", "/after/a")
        assert (answer.status, answer.headers["ETag"], answer.content) == (200, f'"{rev}"', b"")
        assert client.call("HEAD", "/after/b").status == 404

    @pytest.mark.parametrize(
        ("tags", "status"), [('"{0}"', 304), ('"x", W/"{0}"', 304), ("*", 304), ('"1-abc"', 200), ("{0}", 200)]
    )
    def test_sends_nothing_that_the_client_has(self, client, tags, status):
        rev = client.put("/after/a", {}).json["rev"]
        answer = client.get("/after/a", {"If-None-Match": tags.format(rev)})
        assert (answer.status, answer.headers["ETag"]) == (status, f'"{rev}"')
        assert (answer.content == b"") == (status == 304)

    def test_gives_a_revision_only_while_it_is_kept(self, client):
        first = client.put("/after/a", {"x": 1}).json["rev"]
        second = client.put("/after/a", {"x": 2, "_rev": first}).json["rev"]
        assert client.get("/after/a", rev=second).json["x"] == 2
        old = client.get("/after/a", rev=first)  # CouchDB keeps it until it is compacted
        assert old.json["x"] == 1 if old.status == 200 else error(old) == MISSING
        assert client.get("/after/a", rev=first, latest=True).json["x"] == 2
        assert error(client.get("/after/a", rev="x"))[0] == 400

    def test_tells_the_ancestry(self, client):
        first = client.put("/after/a", {}).json["rev"]
        second = client.put("/after/a", {"_rev": first}).json["rev"]
        told = client.get("/after/a", revs=True, revs_info=True, conflicts=True, local_seq=True).json
        assert told["_revisions"] == {"start": 2, "ids": [second[2:], first[2:]]}
        newest, oldest = told["_revs_info"]
        assert newest == {"rev": second, "status": "available"}
        assert (oldest["rev"], oldest["status"] in ("missing", "available")) == (first, True)
        assert "_local_seq" in told
        assert "_conflicts" not in told

    def test_what_was_told_can_be_written_back(self, client):
        client.put("/after/a", {"x": 1})
        told = client.get("/after/a", revs=True).json
        assert client.put("/after/a", told).status == 201
        assert client.get("/after/a").json["x"] == 1

    def test_opens_all_leaves(self, client):
        rev = client.put("/after/a", {"x": 1}).json["rev"]
        assert client.get("/after/a", JSON, open_revs="all").json == [{"ok": {"_id": "a", "_rev": rev, "x": 1}}]
        assert error(client.get("/after/b", open_revs="all")) == MISSING
        gone = client.delete("/after/a", rev=rev).json["rev"]
        (told,) = client.get("/after/a", JSON, open_revs="all").json
        assert told == {"ok": {"_id": "a", "_rev": gone, "_deleted": True}}

    def test_opens_named_revisions(self, client):
        first = client.put("/after/a", {}).json["rev"]
        second = client.put("/after/a", {"_rev": first}).json["rev"]
        told = client.get("/after/a", JSON, open_revs=[second, "2-abc"], revs=True).json
        assert told[0]["ok"]["_revisions"]["ids"] == [second[2:], first[2:]]
        assert told[1:] == [{"missing": "2-abc"}]
        told = client.get("/after/a", JSON, open_revs=[first, "1-abc", "5-abc"], latest=True).json
        assert [list(one) for one in told] == [["ok"], ["missing"], ["missing"]]
        assert error(client.get("/after/a", open_revs={}))[0] == 400

    def test_opens_revisions_in_parts(self, client):
        rev = client.put("/after/a", {}).json["rev"]
        answer = client.get("/after/a", {"Accept": "multipart/mixed"}, open_revs=[rev, "2-abc"])
        boundary = answer.headers.get_param("boundary").encode()
        _, first, second, last = answer.content.split(b"--" + boundary)
        assert first.startswith(b"\r\nContent-Type: application/json\r\n\r\n{")
        assert second.endswith(b'error="true"\r\n\r\n{"missing":"2-abc"}\r\n')
        assert last == b"--"

    def test_has_no_attachments(self, client):
        client.put("/after/a", {})
        assert error(client.get("/after/a/b.txt")) == (404, "not_found", "Document is missing attachment")


class TestDeleting:
    def test_needs_the_current_revision(self, client):
        rev = client.put("/after/a", {}).json["rev"]
        assert error(client.delete("/after/a")) == CONFLICT
        assert error(client.delete("/after/a", rev="1-abc")) == CONFLICT
        deleted = client.delete("/after/a", {"If-Match": f'"{rev}"'})
        assert (deleted.status, deleted.json["rev"][:2]) == (200, "2-")
        assert error(client.delete("/after/a", rev=deleted.json["rev"])) == (404, "not_found", "deleted")

    def test_a_tombstone_may_have_fields_and_the_id_comes_back(self, client):
        rev = client.put("/after/a", TASK).json["rev"]
        gone = client.put("/after/a", {"_rev": rev, "_deleted": True, "why": "x"}).json["rev"]
        assert client.get("/after/a", rev=gone).json == {"_id": "a", "_rev": gone, "_deleted": True, "why": "x"}
        assert client.put("/after/a", TASK).json["rev"][:2] == "3-"


class TestLocalDocuments:
    def test_live_outside_of_the_feed(self, client):
        before = last_seq(client)
        assert error(client.get("/after/_local/a")) == MISSING
        first = client.put("/after/_local/a", {"x": 1})
        assert (first.status, first.json) == (201, {"ok": True, "id": "_local/a", "rev": "0-1"})
        assert client.put("/after/_local/a", {"x": 2, "_rev": "0-1"}).json["rev"] == "0-2"
        assert client.get("/after/_local/a").json == {"_id": "_local/a", "_rev": "0-2", "x": 2}
        assert client.get("/after/_changes", since=before).json["results"] == []

    def test_can_be_deleted(self, client):
        client.put("/after/_local/a", {})
        assert client.delete("/after/_local/a").status == 200
        assert error(client.delete("/after/_local/a")) == MISSING

    def test_need_a_name(self, client):
        assert client.put("/after/_local/", {}).status == 400
