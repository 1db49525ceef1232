"""Many documents in one request."""

from __future__ import annotations

import json

import pytest
from protocol import TASK, error, names


def bulk(client, *documents, **more):
    return client.post("/after/_bulk_docs", {"docs": list(documents), **more})


class TestBulkDocs:
    def test_answers_for_each_document_in_order(self, client):
        first = client.put("/after/a", {}).json["rev"]
        answer = bulk(
            client,
            {"_id": "a"},
            {"_id": "a", "_rev": first, "x": 1},
            {"_id": "b"},
            {**TASK, "_id": "t", "job": 5},
            {**TASK, "_id": "t"},
            {"_id": "e", "_deleted": True, "_rev": "1-abc"},
        )
        assert answer.status == 201
        told = [(row["id"], row.get("error", "ok")) for row in answer.json]
        assert told == [
            ("a", "conflict"), ("a", "ok"), ("b", "ok"), ("t", "forbidden"), ("t", "ok"), ("e", "conflict"),
        ]  # fmt: skip
        assert answer.json[1]["rev"][:2] == "2-"
        assert answer.json[3]["reason"].startswith("job: ")
        assert names(client) == ["a", "b", "t"]

    @pytest.mark.parametrize(
        ("wrong", "name"),
        [
            ({"_id": "_x"}, "illegal_docid"),
            ({"_id": "c", "_x": 1}, "doc_validation"),
            ({"_id": "d", "_rev": "x"}, "bad_request"),
            ([], "bad_request"),
        ],
    )
    def test_what_can_be_no_document_is_refused_alone(self, client, wrong, name):
        assert [row.get("error", "ok") for row in bulk(client, {"_id": "a"}, wrong).json] == ["ok", name]

    def test_gives_ids(self, client):
        ids = [row["id"] for row in bulk(client, {"x": 1}, {"x": 2}, {"x": 3}).json]
        assert len(set(ids)) == 3
        assert client.get(f"/after/{ids[1]}").json["x"] == 2

    def test_sees_its_own_earlier_documents(self, client):
        rows = bulk(client, {"_id": "a", "x": 1}, {"_id": "a", "x": 2}).json
        assert [row.get("error") for row in rows] == [None, "conflict"]
        assert client.get("/after/a").json["x"] == 1

    @pytest.mark.parametrize(("size", "name"), [("large", "too_large"), ("deep", "bad_request")])
    def test_a_document_that_is_too_large_or_too_deep_is_refused_alone(self, client, size, name):
        wrong = {"_id": "b", "x": "y" * 1_100_000 if size == "large" else json.loads("[" * 70 + "]" * 70)}
        rows = bulk(client, {"_id": "a"}, wrong).json
        assert [row.get("error") for row in rows] == [None, name]

    @pytest.mark.timeout(600)  # CouchDB judges each document in JavaScript
    def test_takes_many(self, client):
        rows = bulk(client, *({"_id": f"{number:05}"} for number in range(10_000))).json
        assert all(row["ok"] for row in rows)
        assert len(names(client)) == 10_000

    @pytest.mark.timeout(600)
    def test_takes_no_more(self, client):
        assert bulk(client, *({"_id": f"{number:05}"} for number in range(10_001))).status == 413
        assert names(client) == []

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({}, "POST body must include `docs` parameter."),
            ({"docs": {}}, "`docs` parameter must be an array."),
            ({"docs": [], "new_edits": 1}, "`new_edits` parameter must be a boolean."),
        ],
    )
    def test_refuses_the_request(self, client, body, reason):
        assert error(client.post("/after/_bulk_docs", body)) == (400, "bad_request", reason)

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"docs":[{]}', b'{"docs":[{}'])
    def test_refuses_what_is_not_json(self, client, body):
        assert client.post("/after/_bulk_docs", body).status == 400
        assert names(client) == []

    def test_an_empty_request_writes_nothing(self, client):
        assert (bulk(client).status, bulk(client).json) == (201, [])


class TestBulkGet:
    def test_gives_documents_by_id_and_revision(self, client):
        first = client.put("/after/a", {"x": 1}).json["rev"]
        second = client.put("/after/a", {"x": 2, "_rev": first}).json["rev"]
        wanted = [{"id": "a"}, {"id": "a", "rev": second}, {"id": "a", "rev": first}, {"id": "b"}]
        told = client.post("/after/_bulk_get", {"docs": wanted}).json["results"]
        document = {"ok": {"_id": "a", "_rev": second, "x": 2}}
        assert told[:2] == [{"id": "a", "docs": [document]}] * 2
        missing = {"error": {"id": "a", "rev": first, "error": "not_found", "reason": "missing"}}
        kept = {"ok": {"_id": "a", "_rev": first, "x": 1}}
        assert told[2] in ({"id": "a", "docs": [missing]}, {"id": "a", "docs": [kept]})
        assert told[3]["docs"][0]["error"]["rev"] == "undefined"
        latest = client.post("/after/_bulk_get", {"docs": wanted[2:3]}, latest=True, revs=True).json["results"]
        assert latest[0]["docs"][0]["ok"]["_revisions"]["start"] == 2

    def test_what_is_wrong_is_told_in_its_place(self, client):
        wanted = [5, {}, {"id": "_x"}, {"id": "a", "rev": "x"}]
        told = client.post("/after/_bulk_get", {"docs": wanted}).json["results"]
        errors = [one["docs"][0]["error"]["error"] for one in told]
        assert errors == ["bad_request", "bad_request", "illegal_docid", "bad_request"]
        assert client.post("/after/_bulk_get", {}).status == 400


class TestAllDocs:
    @pytest.fixture(autouse=True)
    def documents(self, client):
        """Documents whose ids sort before that of a design document."""
        rows = bulk(client, *({"_id": identity, "x": identity} for identity in "EDCBA")).json
        self.revs = {row["id"]: row["rev"] for row in rows}
        client.delete("/after/C", rev=self.revs["C"])

    def ids(self, client, **query):
        rows = client.get("/after/_all_docs", **query).json["rows"]
        return "".join(row["id"] for row in rows if row["id"][0] != "_")

    def test_lists_all_that_are_not_deleted(self, client):
        told = client.get("/after/_all_docs").json
        assert (told["total_rows"], told["offset"]) == (len(told["rows"]), 0)
        assert told["rows"][0] == {"id": "A", "key": "A", "value": {"rev": self.revs["A"]}}
        assert self.ids(client) == "ABDE"

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"startkey": "B"}, "BDE"),
            ({"startkey": "B", "endkey": "D"}, "BD"),
            ({"startkey": "B", "endkey": "D", "inclusive_end": False}, "B"),
            ({"startkey": "D", "endkey": "B", "descending": True}, "DB"),
            ({"start_key": "B", "end_key": "B"}, "B"),
            ({"startkey_docid": "B", "endkey_docid": "D"}, "BD"),
            ({"key": "D"}, "D"),
            ({"key": "C"}, ""),
            ({"limit": 2}, "AB"),
            ({"limit": 2, "skip": 1}, "BD"),
            ({"limit": 0}, ""),
            ({"descending": True, "startkey": "E", "limit": 1}, "E"),
            ({"startkey": None}, "ABDE"),
            ({"startkey": {}}, ""),
            ({"endkey": 5}, ""),
            ({"endkey": {}}, "ABDE"),
        ],
    )
    def test_gives_a_range(self, client, query, expected):
        assert self.ids(client, **query) == expected

    def test_includes_documents(self, client):
        (row,) = client.get("/after/_all_docs", key="A", include_docs=True).json["rows"]
        assert row["doc"] == {"_id": "A", "_rev": self.revs["A"], "x": "A"}

    def test_gives_named_documents_in_their_order(self, client):
        told = client.post("/after/_all_docs", {"keys": ["B", "nothing", "C", 5, "A"]}, include_docs=True).json["rows"]
        assert [row["key"] for row in told] == ["B", "nothing", "C", 5, "A"]
        assert told[1] == {"key": "nothing", "error": "not_found"}
        assert told[3] == {"key": 5, "error": "not_found"}
        assert told[2]["value"]["deleted"] is True
        assert told[2]["doc"] is None
        assert told[4]["doc"]["x"] == "A"
        assert len(client.get("/after/_all_docs", keys=["A", "B", "D"], skip=1, limit=1).json["rows"]) == 1

    def test_streams_more_than_a_chunk(self, client):
        bulk(client, *({"_id": f"Z{number:04}", "text": "x" * 500} for number in range(1_000)))
        told = client.get("/after/_all_docs", include_docs=True).json["rows"]
        assert [row["id"] for row in told[4:1004]] == [f"Z{number:04}" for number in range(1_000)]

    @pytest.mark.parametrize(
        "query",
        [
            {"foo": 1},
            {"limit": -1},
            {"limit": "x"},
            {"startkey": "A", "keys": ["A"]},
            {"reduce": True},
            {"group": True},
        ],
    )
    def test_refuses_a_parameter(self, client, query):
        assert client.get("/after/_all_docs", **query).status == 400

    def test_tells_the_seq(self, client):
        told = client.get("/after/_all_docs", update_seq=True).json["update_seq"]
        assert client.get("/after/_changes", since=told).json["results"] == []
