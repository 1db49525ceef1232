"""What is wrong is refused with a 4xx that says what, nothing of it is stored, and the server goes on."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from protocol import names
from rest import TASK, refused, told


@pytest.fixture
def client(shared):
    """What speaks to the one database, which all of this must not harm."""
    return shared


@pytest.fixture(autouse=True)
def unharmed(client):
    """After each test nothing is stored, and the same engine takes a good task."""
    yield
    left = names(client)
    for identity in left:  # so that the next test is judged for itself
        client.delete(f"/tasks/{quote(identity, safe='')}")
    assert left == []
    assert client.post("/tasks/good", TASK).status == 201
    assert client.delete("/tasks/good").status == 200


BODIES = [
    (b"", "the body is not JSON"),
    (b"{", "the body is not JSON"),
    (b"worker=manobi&job=x", "the body is not JSON"),
    (b"{'worker': 'manobi'}", "the body is not JSON"),
    (b'{"worker": "w", "job": "j",}', "the body is not JSON"),
    (b'{"worker": "w", "job": "j"} {}', "the body is not JSON"),
    (b'{"worker": "w", "job": "j", "x": NaN}', "the body is not JSON"),
    (b'{"worker": "w", "job": "j", "x": Infinity}', "the body is not JSON"),
    (b'{"worker": "w", "job": "j", "x": 01}', "the body is not JSON"),
    (b'{"worker": "w", "job": "j", "x": "\n"}', "the body is not JSON"),
    (b"\xef\xbb\xbf{}", "the body is not JSON"),
    ('{"worker": "w", "job": "j"}'.encode("utf-16"), "the body is not JSON"),
    *((json.dumps(value).encode(), "the body") for value in ([], [TASK], "text", 5, 1.5, True, None)),
]


@pytest.mark.parametrize(("body", "said"), BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("path", ["/tasks", "/tasks/a"])
def test_a_body_that_is_no_json_object(client, path, body, said):
    refused(client.post(path, body), 400, "bad_request", said)


@pytest.mark.parametrize(
    "body",
    [
        b'{"worker": "w", "job": "j", "x": 1e999}',
        b'{"worker": "w", "job": "j", "x": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=["too large a number", "half a character", "arrays without end", "objects without end"],
)
@pytest.mark.parametrize("path", ["/tasks", "/tasks/a"])
def test_a_body_that_cannot_be_read(client, path, body):
    """Refused as JSON, or by the reading function itself: the reasons differ."""
    assert told(client.post(path, body))[:2] == (400, "bad_request")


FIELDS = [
    *(("worker", value) for value in (None, "", 5, ["w"], "a/b", "a\nb", "a\0b", "a\n", "x" * 129)),
    *(("job", value) for value in (None, "", 5, [], {}, {"name": 5}, {"name": ""}, {"name": "x" * 129})),
    *(("job", {"name": "x", **wrong}) for wrong in ({"arguments": {}}, {"keywords": []}, {"arguments": "x"})),
    *(("date", value) for value in (
        "", "tomorrow", "2026-13-01", "2026-02-30", "2027-02-29", "2026-00-10", "2026-12-00", "2026-12-01T25:00",
        "2026-12-01T09:60", "2026-12-01T09:00:00+25:00", "2026-12-01T09:00:00+99:99", "10000-01-01", "+10000-01-01",
        "9999-12-31T23:59:59-01:00", "0001-01-01T00:00+01:00", "2026-12", "2026", "12/01/2026", 1790000000, 1.5, True,
        [], {}, "P", "PT", "P1Y", "P1M", "-PT5M", "PT-5M", "P9000Y", "P9999999D", "PT99999999999999999999S",
        "P3285000D", "x" * 100_000,
    )),
    *(("status", value) for value in ("unknown", "", "Waiting", 5, [], {}, True)),
    *(("retry", value) for value in ({"limit": -1}, {"limit": "3"}, {"interval": "5m"}, {"backoff": 0}, {"x": 1}, 3)),
    *((field, value) for field in ("timeout", "expires") for value in ("5m", 5, "P1M", "-PT1S", "")),
    *(("priority", value) for value in (101, -101, 1.5, "1", [])),
    *(("tags", value) for value in ("a", [1], {})),
    ("type", "worker"),
    *((field, {"x": 1}) for field in ("_x", "_deleted", "_attachments", "_id_", "_")),
    ("_deleted", True),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=range(len(FIELDS)))
def test_a_field_that_is_wrong(client, field, value):
    document = {**TASK, field: value}
    refused(client.post("/tasks/a", document), 400, "bad_request", field)


@pytest.mark.parametrize("field", ["worker", "job"])
def test_a_field_that_is_missing(client, field):
    document = {name: value for name, value in TASK.items() if name != field}
    assert told(client.post("/tasks/a", document)) == (400, "bad_request", f"{field}: is required")


@pytest.mark.parametrize(
    "identity",
    ["x" * 513, "x" * 600, "_x", "_design/x", "worker:x", "history:x:1", "workers", "a\0b", "", 5, [], True, {}],
)
def test_an_id_that_a_task_may_not_have(client, identity):
    refused(client.post("/tasks", {**TASK, "_id": identity}), 400, "bad_request", "_id")
    if isinstance(identity, str) and identity not in ("", "workers"):
        path = "".join(f"%{byte:02x}" for byte in identity.encode())
        refused(client.post(f"/tasks/{path}", TASK), 400, "bad_request", "_id")


def test_two_ids(client):
    refused(client.post("/tasks/a", {**TASK, "_id": "b"}), 400, "bad_request", "_id")
    refused(client.post("/tasks/%ff", TASK), 400, "bad_request", "_id")


@pytest.mark.parametrize("rev", [5, [], True, {}])
def test_a_revision_that_is_none(client, rev):
    refused(client.post("/tasks/a", {**TASK, "_rev": rev}), 400, "bad_request", "_rev")


class TestLimits:
    def test_a_document_that_is_too_large(self, client):
        assert told(client.post("/tasks", {**TASK, "x": "x" * 2 * 1024 * 1024}))[:2] == (413, "too_large")

    @pytest.mark.parametrize("kind", ["[]", "{}"])
    def test_a_document_that_is_too_deep(self, client, kind):
        def nested(levels):
            opening, closing = ("[", "]") if kind == "[]" else ('{"x":', "}")
            inner = opening * (levels - 2) + kind + closing * (levels - 2)
            return b'{"worker":"w","job":"j","x":%s}' % inner.encode()

        for levels in (65, 66, 500, 5000):
            code, error, reason = told(client.post("/tasks/a", nested(levels)))
            assert (code, error) == (400, "bad_request")
            assert "nested" in reason or levels > 65
        assert client.post("/tasks/a", nested(64)).status == 201
        client.delete("/tasks/a")


class TestRequests:
    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "*/*"]
    )
    @pytest.mark.parametrize("path", ["/tasks", "/tasks/a", "/tasks/_bulk", "/tasks/workers/manobi"])
    def test_a_body_that_is_not_declared_as_json(self, client, path, kind):
        code, error, reason = told(client.post(path, TASK, {"Content-Type": kind}))
        assert (code, error) == (415, "bad_content_type")
        assert "-H 'Content-Type: application/json'" in reason

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"])
    def test_json_may_be_declared_in_any_way(self, client, kind):
        assert client.post("/tasks/a", TASK, {"Content-Type": kind}).status == 201
        client.delete("/tasks/a")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/tasks/a"), ("DELETE", "/tasks/a"), ("POST", "/tasks"), ("POST", "/tasks/a"),
            ("GET", "/tasks/a/history"), ("GET", "/tasks"), ("GET", "/tasks/_all_tasks"), ("POST", "/tasks/_bulk"),
            ("GET", "/tasks/_changes"), ("GET", "/tasks/workers"), ("GET", "/tasks/workers/w"),
            ("POST", "/tasks/workers/w"),
        ],
    )  # fmt: skip
    def test_a_parameter_that_is_unknown(self, client, method, path):
        answer = client.call(method, path, TASK if method == "POST" else None, rev="1-abc")
        refused(answer, 400, "bad_request", "rev")

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/tasks", {"GET", "POST"}),
            ("/tasks/_all_tasks", {"GET"}),
            ("/tasks/_bulk", {"POST"}),
            ("/tasks/_changes", {"GET"}),
            ("/tasks/workers", {"GET"}),
            ("/tasks/workers/w", {"GET", "POST"}),
            ("/tasks/a", {"GET", "POST", "DELETE"}),
            ("/tasks/a/history", {"GET"}),
        ],
    )
    def test_a_method_that_a_path_does_not_take(self, client, path, allowed):
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - allowed:
            answer = client.call(method, path, {})
            assert told(answer)[:2] == (405, "method_not_allowed")
            assert {name.strip() for name in answer.headers["Allow"].split(",")} - {"HEAD"} == allowed

    @pytest.mark.parametrize(
        "path", ["/tasks/a/b", "/tasks/a/history/b", "/tasks/_bulk/x", "/task", "/tasks/workers/a/b"]
    )
    def test_a_path_that_is_none(self, client, path):
        for method in ("GET", "POST"):
            assert told(client.call(method, path, TASK))[:2] == (404, "not_found")
