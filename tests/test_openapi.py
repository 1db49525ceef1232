"""The description of the REST interface, and whether the server keeps what it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from rest import SEED, TASK, as_worker
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serving import Client, Server

from after.status import STATUSES
from after.task import WORKER_FIELDS, Fields

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 50
"""How many requests are made up for each operation in each way: some 20 seconds in all."""
OPERATIONS = {
    "/tasks": {"get", "post"},
    "/tasks/_all_tasks": {"get"},
    "/tasks/_audit": {"get"},
    "/tasks/_bulk": {"post"},
    "/tasks/_changes": {"get"},
    "/tasks/_edit": {"post"},
    "/tasks/_next": {"get"},
    "/tasks/workers": {"get"},
    "/tasks/workers/{name}": {"get", "post"},
    "/tasks/{id}": {"get", "post", "delete"},
    "/tasks/{id}/history": {"get"},
    "/_up": {"get"},
    "/openapi.json": {"get"},
}
KNOWN = {"id": "first", "name": "manobi"}
RIGHT = [(path, method) for path in OPERATIONS for method in sorted(OPERATIONS[path])]
WRONG = [(path, method) for path, method in RIGHT if method == "post" or path.startswith("/tasks/_")] + [
    ("/tasks", "get"),
    ("/tasks/{id}/history", "get"),
]
"""Where there is a body or a query that can be wrong."""


@pytest.fixture
def description(client: Client) -> Any:
    return client.get("/openapi.json").json


@pytest.fixture
def filled(client: Client) -> None:
    """Tasks in many statuses, and a worker that is known."""
    client.post("/tasks/first", SEED)
    for number, status in enumerate(["waiting", "scheduled", "running", "done", "err"]):
        client.post(f"/tasks/t{number}", {**TASK, "tags": ["a"], "retry": {"limit": 1}})
        as_worker(client, f"t{number}", *[status][: status != "waiting"])
    missed = {"first": "2026-11-01T09:00:00.000Z", "last": "2026-11-30T09:00:00.000Z", "count": 30}
    run = {"at": "2026-12-01T09:00:00.000Z", "status": "done", "next": "2026-12-02T09:00:00.000Z", "missed": missed}
    client.post("/tasks/daily", {**TASK, "repeat": {"interval": "P1D"}, "after": ["first"], "key": "k"})
    occurrence = {"start": run["at"], "date": run["next"], "number": 31}
    history = {"history": [run], "archived": 100, "runs": 1, "occurrence": occurrence, "ready": True}
    as_worker(client, "daily", "scheduled", **history)
    client.put("/after/history:daily:0", {"type": "history", "task": "daily", "number": 0, "history": [run] * 100})
    instance = {"type": "worker", "name": "manobi", "instance": "w1", "state": "running", "jobs": ["nothing"]}
    client.put("/after/worker:manobi:w1", {**instance, "heartbeat": "2026-12-01T09:00:00.000Z"})


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for element in value:
            yield from references(element)


class TestDescription:
    def test_tells_of_every_path_and_method(self, server: Server, description: Any) -> None:
        assert description["openapi"] == "3.1.0"
        assert {path: set(methods) for path, methods in description["paths"].items()} == OPERATIONS
        served: dict[str, set[str]] = {}
        for route in server.engine.app.routes:
            path = str(getattr(route, "path", ""))
            if path.startswith(("/tasks", "/_up", "/openapi")) and path != "/tasks/":
                methods = getattr(route, "methods", None) or set()
                served.setdefault(path, set()).update(method.lower() for method in methods)
        assert {path: methods - {"head"} for path, methods in served.items()} == OPERATIONS

    @pytest.mark.parametrize("path", OPERATIONS)
    def test_other_methods_are_refused_with_those_there_are(self, client: Client, path: str) -> None:
        allowed = {method.upper() for method in OPERATIONS[path]}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - allowed:
            answer = client.call(method, path.format(**KNOWN), {})
            assert (answer.status, answer.json["error"]) == (405, "method_not_allowed")
            assert set(re.findall(r"\w+", answer.headers["Allow"])) - {"HEAD"} == allowed

    def test_every_reference_leads_somewhere(self, description: Any) -> None:
        names = {reference.removeprefix("#/components/schemas/") for reference in references(description)}
        assert names <= description["components"]["schemas"].keys()
        assert {"Task", "NewTask", "Post", "Error"} <= names

    def test_describes_every_field_of_a_task(self, description: Any) -> None:
        schemas = description["components"]["schemas"]
        fields = set(Fields.__struct_fields__)
        assert schemas["Task"]["properties"].keys() == fields | {"_id", "_rev"}
        for name in ("NewTask", "Post"):
            assert schemas[name]["properties"].keys() == (fields - WORKER_FIELDS) | {"_id", "_rev"}
        assert set(schemas["Status"]["enum"]) == STATUSES
        assert set(schemas["NewTask"]["properties"]["status"]["enum"]) == {"waiting", "schedule", None}

    def test_names_the_errors_that_every_operation_may_answer_with(self, description: Any) -> None:
        for methods in description["paths"].values():
            for operation in methods.values():
                refusals = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
                assert "403" in refusals
                assert "400" in refusals or not operation["parameters"]
                for answer in refusals.values():
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
                assert ("415" in refusals) == ("requestBody" in operation)


@pytest.mark.usefixtures("filled")
class TestConformance:
    @pytest.mark.parametrize(("path", "method"), RIGHT)
    def test_answers_as_described(self, server: Server, client: Client, path: str, method: str) -> None:
        ask(server, path, method, GenerationMode.POSITIVE)
        assert client.get("/_up").status == 200

    @pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in RIGHT if "{" in path])
    def test_answers_as_described_of_what_is_there(
        self, server: Server, client: Client, path: str, method: str
    ) -> None:
        codes = ask(server, path, method, GenerationMode.POSITIVE, KNOWN)
        assert codes & {200, 304, 409}
        assert client.get("/_up").status == 200

    @pytest.mark.parametrize(("path", "method"), WRONG)
    def test_refuses_as_described(self, server: Server, client: Client, path: str, method: str) -> None:
        codes = ask(server, path, method, GenerationMode.NEGATIVE)
        assert codes & ({201} if path == "/tasks/_bulk" else {400, 404, 415})
        assert client.get("/_up").status == 200


def ask(server: Server, path: str, method: str, mode: GenerationMode, known: dict[str, str] | None = None) -> set[int]:
    """Ask all sorts of things of an operation, and see that each answer is one of those described; give their codes."""
    operation = schemathesis.openapi.from_url(f"{server.url}/openapi.json")[path][method]
    names = {name: value for name, value in (known or {}).items() if f"{{{name}}}" in path}
    codes: set[int] = set()

    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=names or None))
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: Case) -> None:
        _end_soon(case)
        answer = case.call()
        codes.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    check()
    return codes


def _end_soon(case: Case) -> None:
    """Ask a feed for what is there, and not to wait for more; the live ones are no single JSON value."""
    if case.path == "/tasks/_changes" and isinstance(case.query, dict):
        case.query.pop("heartbeat", None)
        case.query["timeout"] = "1"
        if case.query.get("feed") in ("continuous", "live"):
            case.query["feed"] = "longpoll"
