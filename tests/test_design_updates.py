"""The design document's update functions answer what the embedded server answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import pytest
from javascript import javascript
from serving import Client

from after.dates import parse_instant
from after.task import Document

TASK: Document = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T09:00:00Z", "status": "waiting"}
FORMS = {"Content-Type": "application/x-www-form-urlencoded"}
REVISIONS = frozenset({"_rev", "rev"})
"""What no two engines have alike."""
MINUTE = 60_000


class Requests:
    """Sends the same requests to the embedded server and, as CouchDB would, to the update function."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stored: dict[str, Document] = {}
        self._count = 0

    def both(self, method: str, identity: str, body: Any, headers: dict[str, str] | None = None) -> tuple[Any, Any]:
        """Give both answers: code, and what they have in common of their bodies."""
        place = f"/tasks/{quote(identity, safe='')}"
        revs = self._client.get(place).json.get("_rev"), self._stored.get(identity, {}).get("_rev")
        text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = [_with_revision(text, headers or {}, rev) for rev in revs]
        answer = self._client.call(method, place, *sent[0])
        return (answer.status, _common(answer.json)), self._update(method, identity, *sent[1])

    def put(self, identity: str, document: Document) -> None:
        """Store a document in both, going round the interface."""
        place = f"/after/{quote(identity, safe='')}"
        rev = self._client.get(place).json.get("_rev")
        assert self._client.put(place, {**document, **({"_rev": rev} if rev else {})}).status == 201
        self._store(identity, document)

    def _update(self, method: str, identity: str, body: bytes | None, headers: dict[str, str]) -> Any:
        kind = {} if body is None else {"Content-Type": "application/json"}
        text = "undefined" if body is None else body.decode()
        request = {
            "id": identity, "method": method, "headers": {**kind, **headers}, "body": text,
            "path": ["after"], "uuid": "0f" * 16,
        }  # fmt: skip
        stored = self._stored.get(identity)
        given = stored and {**stored, "_revisions": {"start": 1, "ids": ["x"]}}
        document, response = javascript().function("updates/task", given, request)
        if document is not None:
            assert document["_id"] == identity
            assert document.get("_rev") == (stored or {}).get("_rev")
            self._store(identity, document)
        return response.get("code", 201), _common(json.loads(response["body"]))

    def _store(self, identity: str, document: Document) -> None:
        self._count += 1
        self._stored[identity] = {**document, "_id": identity, "_rev": f"{self._count}-abc"}
        if document.get("_deleted"):
            del self._stored[identity]


def _with_revision(body: bytes | None, headers: dict[str, str], rev: str | None) -> tuple[bytes | None, dict[str, str]]:
    known = str(rev)
    sent = {name: value.replace("CURRENT", known) for name, value in headers.items()}
    return body and body.replace(b"CURRENT", known.encode()), sent


def _common(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _common(one) for name, one in value.items() if name not in REVISIONS}
    if isinstance(value, str) and len(value) == 24:
        return "now" if abs(parse_instant(value) - time.time() * 1000) < MINUTE else value
    return [_common(one) for one in value] if isinstance(value, list) else value


def nested(depth: int) -> bytes:
    return b'{"worker":"w","job":"j","date":"2026-12-01","own":' + b"[" * depth + b"]" * depth + b"}"


STEPS: list[tuple[Any, ...]] = [
    ("POST", "a", TASK),
    ("POST", "a", TASK),
    ("POST", "a", {**TASK, "date": "2026-12-01T10:00+01:00", "type": "task"}),
    ("POST", "a", {**TASK, "date": "2026-12-02"}),
    ("POST", "a", {**TASK, "job": "other"}),
    ("POST", "a", {**TASK, "own": 5}),
    ("POST", "a", {**TASK, "_id": "a"}),
    ("POST", "a", {**TASK, "_id": "b"}),
    ("POST", "a", {**TASK, "_id": 5}),
    ("POST", "a", {**TASK, "_rev": "1-abc"}),
    ("POST", "a", {**TASK, "_rev": "CURRENT"}),
    ("POST", "a", {**TASK, "_rev": 5}),
    ("POST", "a", {**TASK, "_rev": "1-abc"}, {"If-Match": '"2-abc"'}),
    ("POST", "a", TASK, {"If-Match": "*"}),
    ("POST", "a", TASK, {"if-match": '"1-\'"'}),
    ("POST", "a", {"status": "reschedule", "date": "2026-12-24T00:00Z", "own": {"a": [1]}}, {"If-Match": '"CURRENT"'}),
    ("POST", "a", {"status": "reschedule", "date": "2026-12-24T00:00Z", "own": {"a": [1]}}),
    ("POST", "a", {"status": "reschedule", "date": "tomorrow"}),
    ("POST", "a", {"status": "reschedule", "own": {"a": [2]}}),
    ("POST", "a", {"status": "reschedule", "history": []}),
    ("POST", "a", {"status": "reschedule", "claim": {"instance": "i"}}),
    ("POST", "a", {"status": "reschedule", "repeat": {"interval": "P1D"}}),
    ("POST", "a", {"status": "reschedule", "_x": 1}),
    ("POST", "a", {"status": "reschedule", "date": None}),
    ("POST", "a", {"status": "cancel"}),
    ("POST", "a", {"status": "cancel"}),
    ("POST", "a", {"status": "waiting"}),
    ("POST", "a", {**TASK, "date": "2026-12-24"}),
    ("POST", "a", {"status": "done"}),
    ("POST", "a", {"status": "cancel"}),
    ("POST", "a", {"status": "done"}),
    ("POST", "a", {"status": "schedule", "date": "2027-01-01"}),
    *(("POST", "a", {"status": status}) for status in ("scheduled", "running", "canceled", "paused", 5, None, "")),
    *(("POST", "a", {**TASK, "status": status}) for status in ("scheduled", "canceled", "paused", "schedule")),
    ("DELETE", "a", None, {"If-Match": '"1-x"'}),
    ("DELETE", "a", None),
    ("DELETE", "a", None),
    ("POST", "a", TASK),
    ("DELETE", "a", None, {"If-Match": '"CURRENT"'}),
    *(("POST", "none", {"status": status}) for status in ("cancel", "schedule", "running", "waiting", "done")),
    ("POST", "none", {**TASK, "status": "running"}),
    ("POST", "none", {**TASK, "status": "cancel"}),
    ("POST", "none", {**TASK, "_rev": "1-abc"}),
    ("POST", "none", TASK, {"If-Match": "*"}),
    ("POST", "none", {**TASK, "attempt": 3}),
    ("POST", "none", {**TASK, "history": []}),
    ("POST", "none", {**TASK, "_deleted": True}),
    ("POST", "none", {**TASK, "": 5, "_": 6}),
    ("POST", "none", {**TASK, "a\n_b": 5}),
    ("POST", "none", {**TASK, "date": "PT5X"}),
    ("POST", "none", {**TASK, "date": "P1M"}),
    ("POST", "none", {**TASK, "date": "P9999Y"}),
    ("POST", "none", {**TASK, "worker": ""}),
    ("POST", "nulls", {**TASK, "history": None, "result": None, "own": None}),
    ("POST", "nulls", {**TASK, "history": None}),
    ("POST", "a/b é🦆", {**TASK, "status": "schedule", "job": {"name": "j", "arguments": [1, None, {"a": 2.5}]}}),
    ("POST", "a/b é🦆", {"status": "cancel", "priority": 7}),
    ("POST", "raw", {**TASK, "status": "schedule", "history": [], "result": None}),
    ("POST", "raw", {**TASK, "date": "PT5M"}),
    ("POST", "raw", {"status": "schedule"}),
    ("POST", "foreign", TASK),
    ("DELETE", "foreign", None),
    ("POST", "foreign", {"status": "cancel"}),
    *(("POST", identity, TASK) for identity in ("worker:w", "history:a:1", "x" * 513, "_x")),
    ("POST", "wrong", TASK, FORMS),
    ("POST", "wrong", TASK, {"Content-Type": "application/json; charset=utf-8"}),
    *(("POST", "body", body) for body in (b"[1]", b'"x"', b"5", b"null", b"true", nested(64), nested(63))),
    ("POST", "body", b'{"own":"' + b"x" * 1024 * 1024 + b'"}'),
    ("POST", "body", b'{"own":"' + "é".encode() * 1024 * 512 + b'"}'),
    ("POST", "large", b'{"worker":"w","job":"j","date":"2026-12-01","own":"' + "é".encode() * 500_000 + b'"}'),
]  # fmt: skip


def test_the_same_requests_get_the_same_answers(client: Client) -> None:
    requests = Requests(client)
    requests.put("foreign", {"colour": "red"})
    requests.put("raw", {"worker": "manobi", "job": "start_campaign", "status": "done", "attempt": 3, "result": 7})
    codes = set()
    for step in STEPS:
        expected, found = requests.both(*step)
        assert found == expected, step
        codes.add(expected[0])
    assert codes == {200, 201, 400, 403, 404, 409, 413, 415}


def answer(
    document: Document | None, asked: Any, identity: str | None = None, function: str = "task", **more: Any
) -> Any:
    request = {
        "id": identity, "method": "POST", "headers": {"content-type": "application/json"}, "body": json.dumps(asked),
        "path": ["after", "_design", "after", "_update", function], "uuid": "0416b0f1a925831a8f59a21ab90022bc", **more,
    }  # fmt: skip
    written, response = javascript().function(f"updates/{function}", document, request)
    return written, response, json.loads(response["body"])


def test_bodies_that_are_no_json() -> None:
    for body in ("", "{", "undefined", '{"a":1}x', '{"a":01}'):
        written, response, told = answer(None, None, "a", body=body)
        assert (written, response["code"], told["error"]) == (None, 400, "bad_request")
        assert told["reason"].startswith("the body is not JSON: ")


def test_a_duration_that_leads_beyond_all_years_is_refused() -> None:
    _, response, told = answer(None, {**TASK, "date": "P3000000D"}, "a")
    assert response["code"] == 400
    assert re.fullmatch(r"date: \d+ is outside the years 0001 to 9999", told["reason"])


@pytest.mark.parametrize("own", ["[" * 200_000, "{" * 65, '{"a":' * 64 + "1" + "}" * 64])
def test_what_is_nested_too_deep_is_not_even_parsed(own: str) -> None:
    written, response, told = answer(None, None, "a", body='{"worker":"w","job":"j","own":' + own)
    assert (written, response["code"]) == (None, 400)
    assert told["reason"] == "the document is nested deeper than 64 levels"


@pytest.mark.parametrize("own", ["[" * 99, '\\"' + "[" * 99, "\\" * 9, '\\\\"' + "[" * 99 + '\\"'])
def test_brackets_in_a_text_are_no_nesting(own: str) -> None:
    written, _, _ = answer(None, {**TASK, "own": own}, "a")
    assert written["own"] == own


@pytest.mark.parametrize("number", ["1e999", "-1e999", "12345678901234567890", "9007199254740993"])
def test_a_number_that_would_not_be_kept_is_refused(number: str) -> None:
    _, response, told = answer(None, None, "a", body=f'{{"worker":"w","job":"j","own":[{{"a":{number}}}]}}')
    assert (response["code"], told["error"]) == (400, "bad_request")
    assert told["reason"] == "the body: a number in it is too large to be kept; send it as a string"


@pytest.mark.parametrize("number", [2**53 - 1, 1e20, 0.1234567890123456, -5])
def test_other_numbers_are_kept(number: float) -> None:
    written, _, _ = answer(None, {**TASK, "own": number}, "a")
    assert written["own"] == number


def test_an_answer_says_where_the_task_is_and_does_not_pretend_to_know_its_revision() -> None:
    written, response, told = answer(None, TASK, "a b")
    assert response["headers"] == {
        "Content-Type": "application/json", "Location": "/after/_design/after/_rewrite/tasks/a%20b",
    }  # fmt: skip
    assert "code" not in response  # it is 201, or 202 where a cluster has not made sure of it
    assert told == {"ok": True, "id": "a b", "task": written}
    virtual = {"content-type": "application/json", "x-couchdb-vhost-path": "/tasks/a%20b"}
    assert answer(None, TASK, "a b", headers=virtual)[1]["headers"]["Location"] == "/tasks/a%20b"


def test_a_task_that_is_posted_again_is_told_with_its_revision() -> None:
    stored = {**answer(None, TASK, "a")[0], "_rev": "1-abc", "_conflicts": ["1-b"], "_revisions": {}}
    written, response, told = answer(stored, TASK, "a")
    assert written is None
    assert response["headers"]["X-Couch-Update-NewRev"] == told["rev"] == told["task"]["_rev"] == "1-abc"
    assert response["headers"]["ETag"] == '"1-abc"'
    assert not {"_conflicts", "_revisions"} & told["task"].keys()
    written, _, told = answer(stored, {"status": "cancel"}, "a")
    assert written["_rev"] == "1-abc"
    assert "_rev" not in told["task"]


def ids(uuids: Iterable[str]) -> list[str]:
    return [answer(None, TASK, None, uuid=uuid)[0]["_id"] for uuid in uuids]


def test_a_task_without_an_id_gets_one_that_ascends_with_time() -> None:
    from uuid import UUID

    made = ids(f"0416b0f1a925831a8f59a21ab9{number:06x}" for number in range(50))
    assert len(set(made)) == 50
    assert [one[:8] for one in made] == sorted(one[:8] for one in made)
    assert all(UUID(one).version == 7 and UUID(one).variant == "specified in RFC 4122" for one in made)
    assert all(UUID(one).version == 7 for one in ids(["", "abc", "60d0_zz"]))


CONTROL = {
    "_id": "worker:w",
    "_rev": "3-c",
    "type": "control",
    "name": "w",
    "paused": False,
    "stop": "2026-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize("stored", [None, CONTROL])
def test_a_worker_is_paused_and_resumed(stored: Document | None) -> None:
    for asked in ({"paused": True, "note": "stocktaking"}, {"paused": False}):
        written, response, told = answer(stored, asked, "worker:w", "worker")
        note = asked.get("note")
        assert (response["code"], told) == (
            200,
            {"ok": True, "worker": {"name": "w", "paused": asked["paused"], "note": note}},
        )
        assert written.pop("at")
        assert written == {
            "_id": "worker:w", **(stored or {}), "type": "control", "name": "w", "paused": asked["paused"],
            "note": note, "by": "client",
        }  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [{}, {"paused": 1}, {"paused": "yes"}, {"paused": True, "note": 5}, {"paused": True, "b": 1, "a": 2}, [], 5, "x"],
)
def test_a_wrong_pause_is_refused_as_the_embedded_server_does(client: Client, asked: Any) -> None:
    assert client.post("/tasks/w", TASK | {"worker": "w"}).status == 201
    expected = client.post("/tasks/workers/w", asked)
    written, response, told = answer(None, asked, "worker:w", "worker")
    assert (written, response["code"], told) == (None, expected.status, expected.json)


def test_the_document_of_a_process_is_not_taken_for_a_control_document() -> None:
    written, response, _ = answer({"_id": "worker:w:1", "type": "worker"}, {"paused": True}, "worker:w:1", "worker")
    assert (written, response["code"]) == (None, 409)
