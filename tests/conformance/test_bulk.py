"""Many documents in one request."""

from __future__ import annotations

import json

import pytest

TASK = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T09:00:00Z"}


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
            {"_id": "_x"},
            {"_id": "c", "_x": 1},
            {"_id": "d", "_rev": "x"},
            [],
            {"_id": "e", "_deleted": True, "_rev": "1-abc"},
        )
        assert answer.status == 201
        told = [(row["id"], row.get("error", "ok")) for row in answer.json]
        assert told == [
            ("a", "conflict"), ("a", "ok"), ("b", "ok"), ("t", "forbidden"), ("t", "ok"), ("_x", "illegal_docid"),
            ("c", "doc_validation"), ("d", "bad_request"), ("", "bad_request"), ("e", "conflict"),
        ]  # fmt: skip
        assert answer.json[1]["rev"][:2] == "2-"
        assert answer.json[3]["reason"].startswith("job: ")
        assert client.get("/after").json["doc_count"] == 3

    def test_gives_ids_that_ascend(self, client):
        ids = [row["id"] for row in bulk(client, {"x": 1}, {"x": 2}, {"x": 3}).json]
        assert ids == sorted(set(ids))
        assert client.get(f"/after/{ids[1]}").json["x"] == 2

    def test_sees_its_own_earlier_documents(self, client):
        rows = bulk(client, {"_id": "a", "x": 1}, {"_id": "a", "x": 2}).json
        assert [row.get("error") for row in rows] == [None, "conflict"]
        assert client.get("/after/a").json["x"] == 1

    def test_a_document_that_is_too_large_or_too_deep_is_refused_alone(self, client):
        deep = json.loads('{"x":' + "[" * 70 + "]" * 70 + "}")
        rows = bulk(client, {"_id": "a"}, {"_id": "b", "x": "y" * 1_100_000}, deep).json
        assert [row.get("error") for row in rows] == [None, "too_large", "bad_request"]

    def test_takes_many(self, client):
        rows = bulk(client, *({"_id": f"{number:05}"} for number in range(10_000))).json
        assert all(row["ok"] for row in rows)
        assert client.get("/after").json["doc_count"] == 10_000
        assert bulk(client, *({} for _ in range(10_001))).status == 413

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({}, "POST body must include `docs` parameter."),
            ({"docs": {}}, "`docs` parameter must be an array."),
            ({"docs": [], "new_edits": 1}, "`new_edits` parameter must be a boolean."),
            ({"docs": [], "new_edits": False}, "new_edits: false is not supported by this version"),
        ],
    )
    def test_refuses_the_request(self, client, body, reason):
        answer = client.post("/after/_bulk_docs", body)
        assert (answer.status, answer.json) == (400, {"error": "bad_request", "reason": reason})

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"docs":[{]}', b'{"docs":[{}'])
    def test_refuses_what_is_not_json(self, client, body):
        assert client.post("/after/_bulk_docs", body).status == 400
        assert client.get("/after").json["update_seq"] == 0

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
        missing = {"id": "a", "rev": first, "error": "not_found", "reason": "missing"}
        assert told[2] == {"id": "a", "docs": [{"error": missing}]}
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
        rows = bulk(client, *({"_id": identity, "x": identity} for identity in "edcba")).json
        self.revs = {row["id"]: row["rev"] for row in rows}
        client.delete("/after/c", rev=self.revs["c"])

    def ids(self, client, **query):
        return "".join(row["id"] for row in client.get("/after/_all_docs", **query).json["rows"])

    def test_lists_all_that_are_not_deleted(self, client):
        told = client.get("/after/_all_docs").json
        assert (told["total_rows"], told["offset"]) == (4, 0)
        assert told["rows"][0] == {"id": "a", "key": "a", "value": {"rev": self.revs["a"]}}
        assert self.ids(client) == "abde"

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"startkey": "b"}, "bde"),
            ({"startkey": "b", "endkey": "d"}, "bd"),
            ({"startkey": "b", "endkey": "d", "inclusive_end": False}, "b"),
            ({"startkey": "d", "endkey": "b", "descending": True}, "db"),
            ({"start_key": "b", "end_key": "b"}, "b"),
            ({"startkey_docid": "b", "endkey_docid": "d"}, "bd"),
            ({"key": "d"}, "d"),
            ({"key": "c"}, ""),
            ({"limit": 2}, "ab"),
            ({"limit": 2, "skip": 1}, "bd"),
            ({"limit": 0}, ""),
            ({"descending": True, "limit": 1}, "e"),
            ({"startkey": None}, "abde"),
            ({"startkey": {}}, ""),
            ({"endkey": 5}, ""),
            ({"endkey": {}}, "abde"),
        ],
    )
    def test_gives_a_range(self, client, query, expected):
        assert self.ids(client, **query) == expected

    def test_includes_documents(self, client):
        (row,) = client.get("/after/_all_docs", key="a", include_docs=True).json["rows"]
        assert row["doc"] == {"_id": "a", "_rev": self.revs["a"], "x": "a"}

    def test_gives_named_documents_in_their_order(self, client):
        told = client.post("/after/_all_docs", {"keys": ["b", "nothing", "c", 5, "a"]}, include_docs=True).json["rows"]
        assert [row["key"] for row in told] == ["b", "nothing", "c", 5, "a"]
        assert told[1] == {"key": "nothing", "error": "not_found"}
        assert told[3] == {"key": 5, "error": "not_found"}
        assert told[2]["value"]["deleted"] is True
        assert told[2]["doc"] is None
        assert told[4]["doc"]["x"] == "a"
        assert len(client.get("/after/_all_docs", keys=["a", "b", "d"], skip=1, limit=1).json["rows"]) == 1

    def test_streams_more_than_a_chunk(self, client):
        bulk(client, *({"_id": f"z{number:04}", "text": "x" * 500} for number in range(1_000)))
        told = client.get("/after/_all_docs", include_docs=True).json["rows"]
        assert [row["id"] for row in told[4:]] == [f"z{number:04}" for number in range(1_000)]

    @pytest.mark.parametrize(
        "query",
        [
            {"foo": 1},
            {"limit": -1},
            {"limit": "x"},
            {"startkey": "a", "keys": ["a"]},
            {"reduce": True},
            {"group": True},
        ],
    )
    def test_refuses_a_parameter(self, client, query):
        assert client.get("/after/_all_docs", **query).status == 400

    def test_tells_the_seq(self, client):
        assert client.get("/after/_all_docs", update_seq=True).json["update_seq"] == 6
