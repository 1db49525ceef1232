"""The description of the REST interface in OpenAPI 3.1; what a task is made of comes from `after.task`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from after.roster import TOLD
from after.server.feed import FEEDS
from after.server.http import MAX_DOCUMENTS, NEW_REV
from after.server.listing import DEFAULT_LIMIT, MAX_LIMIT
from after.status import NEW_BY_CLIENT, Status
from after.task import MAX_ID_LENGTH, WORKER_FIELDS, Fields

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
REV: Schema = {"type": "string", "pattern": "^[1-9][0-9]*-[0-9a-f]+$"}
NULL: Schema = {"type": "null"}
DATE: Schema = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
CURSOR: Schema = {"type": ["string", "null"], "description": "Of the next page; null after the last"}
BY_CLIENT = [status for status in Status if status not in (Status.SCHEDULED, Status.RUNNING, Status.CANCELED)]
REASONS = {
    400: "The request is wrong; the reason names the field or parameter",
    403: "The rules do not allow this; the reason names both statuses, or the header",
    404: "There is no such thing",
    409: "The revision is not the current one, or the id has another task",
    413: "The document or the request is too large",
    415: "The body is not declared as JSON",
    503: "The database did not take the write",
}


def description() -> Schema:
    """Give the document that `GET /openapi.json` answers with."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "After",
            "version": version("after-io"),
            "description": "Put a task here, and a worker runs it at its date.",
        },
        "paths": {
            "/tasks": {"get": _list("listTasks"), "post": _post("createTask", "NewTask", [])},
            "/tasks/_all_tasks": {"get": _list("listAllTasks")},
            "/tasks/_bulk": {"post": _bulk()},
            "/tasks/_changes": {"get": _changes()},
            "/tasks/workers": {"get": _operation("listWorkers", "The workers", [], {200: _answer("Workers")}, 400)},
            "/tasks/workers/{name}": {
                "get": _operation("getWorker", "A worker", [NAME], {200: _answer("Worker")}, 400, 404),
                "post": _control(),
            },
            "/tasks/{id}": {
                "get": _operation(
                    "getTask",
                    "A task",
                    [ID, IF_NONE_MATCH],
                    {200: _answer("Task", "ETag"), 304: {"description": "The client has this revision already"}},
                    400, 404,
                ),
                "post": _post("putTask", "Post", [ID]),
                "delete": _operation(
                    "deleteTask", "Remove a task, with its whole history", [ID, IF_MATCH],
                    {200: _answer("Written", NEW_REV)},
                    400, 404, 409, 503,
                ),
            },
            "/tasks/{id}/history": {
                "get": _operation(
                    "getHistory", "Every change of a task's status, however old",
                    [ID, LIMIT, NEXT], {200: _answer("History")},
                    400, 404,
                )
            },
            "/_up": {"get": _operation("isUp", "Whether the server and its database answer", [], {200: _answer("Up")})},
            "/openapi.json": {"get": _operation("describe", "This description", [], {200: _answer("Description")})},
        },
        "components": {"schemas": _schemas()},
    }  # fmt: skip


def _parameter(place: str, name: str, schema: Schema, text: str) -> Schema:
    return {"in": place, "name": name, "schema": schema, "description": text, "required": place == "path"}


def _query(name: str, schema: Schema, text: str) -> Schema:
    return _parameter("query", name, schema, text)


ID = _parameter(
    "path", "id", {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
    "The task's id; must not begin with '_'",
)  # fmt: skip
NAME = _parameter("path", "name", {"type": "string", "minLength": 1, "maxLength": 128}, "The worker's name")
IF_MATCH = _parameter("header", "If-Match", TEXT, "The revision that the client means; 409 where it is not current")
IF_NONE_MATCH = _parameter("header", "If-None-Match", TEXT, "The revision that the client has")
LIMIT = _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}, "Page size")
NEXT = _query("cursor", {"type": "string", "minLength": 1}, "What the page before gave as its cursor")
FILTERS = [
    _query("worker", {"type": "string", "minLength": 1}, "Tasks of this worker"),
    _query("status", {"type": "string", "examples": ["waiting,scheduled"]}, "Tasks in this status, or one of several"),
    _query("tag", {"type": "string", "minLength": 1}, "Tasks that bear this tag"),
]


def _operation(name: str, summary: str, parameters: list[Schema], answers: dict[int, Schema], *errors: int) -> Schema:
    refusals = {code: {"description": REASONS[code], "content": _json(_ref("Error"))} for code in {*errors, 403}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {str(code): answer for code, answer in sorted((answers | refusals).items())},
    }


def _list(name: str) -> Schema:
    bounds = [
        _query("from", DATE, "Tasks of this date or later, in ISO 8601"),
        _query("to", DATE, "Tasks before this date, in ISO 8601"),
    ]
    return _operation(
        name, "Tasks by date, newest last", [*FILTERS, *bounds, LIMIT, NEXT], {200: _answer("Tasks")}, 400
    )


def _post(name: str, schema: str, parameters: list[Schema]) -> Schema:
    answers = {201: _answer("Stored", "ETag", NEW_REV, "Location"), 200: _answer("Stored", "ETag", NEW_REV)}
    operation = _operation(
        name, "Create a task, or change the one with this id", [*parameters, IF_MATCH], answers,
        400, 404, 409, 413, 415, 503,
    )  # fmt: skip
    return operation | {"requestBody": {"required": True, "content": _json(_ref(schema))}}


def _bulk() -> Schema:
    many = {"type": "array", "items": _ref("Post"), "maxItems": MAX_DOCUMENTS}
    lines = {"application/x-ndjson": {"schema": {"type": "string", "description": "A task on each line"}}}
    operation = _operation(
        "createTasks", "Create or change many tasks", [], {201: _answer("Results")}, 400, 413, 415, 503
    )
    return operation | {"requestBody": {"required": True, "content": _json(many) | lines}}


def _changes() -> Schema:
    milliseconds = {"type": ["integer", "boolean"], "minimum": 1}
    options = [
        _query("feed", {"enum": list(FEEDS), "default": "normal"}, "Once, at the next change, or from now on"),
        _query("since", {"type": ["integer", "string"], "default": 0}, "The seq to begin behind, or 'now'"),
        _query("limit", COUNT, "How many changes at most"),
        _query("include_docs", {"type": "boolean", "default": False}, "Tell the tasks too"),
        _query("descending", {"type": "boolean", "default": False}, "The latest change first"),
        _query("heartbeat", milliseconds, "A sign of life every so many milliseconds"),
        _query("timeout", COUNT, "End after so many milliseconds without a change"),
    ]
    answer = _answer("Changes")
    answer["content"]["text/event-stream"] = {"schema": TEXT}
    header = _parameter("header", "Last-Event-ID", TEXT, "Where an event stream is taken up again")
    return _operation("followTasks", "The changes of tasks", [*FILTERS, *options, header], {200: answer}, 400)


def _control() -> Schema:
    operation = _operation(
        "controlWorker", "Pause or resume a worker", [NAME], {200: _answer("Controlled")}, 400, 404, 409, 413, 415, 503
    )
    return operation | {"requestBody": {"required": True, "content": _json(_ref("Control"))}}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answer(schema: str, *headers: str) -> Schema:
    answer: Schema = {"description": schema, "content": _json(_ref(schema))}
    if headers:
        answer["headers"] = {name: {"schema": TEXT} for name in headers}
    return answer


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(needed: Schema, **others: Schema) -> Schema:
    return {"type": "object", "properties": needed | others, "required": list(needed)}


def _list_of(name: str, items: Schema) -> Schema:
    return _object({name: {"type": "array", "items": items}, "cursor": CURSOR})


def _schemas() -> Schema:
    _, schemas = msgspec.json.schema_components([Fields], ref_template="#/components/schemas/{name}")
    fields = schemas.pop("Fields")["properties"]
    written = {"ok": {"const": True}, "id": TEXT, "rev": REV}
    told: Schema = {name: {} for name in TOLD}
    return {
        **schemas,
        "NewTask": _given(fields, sorted(NEW_BY_CLIENT)) | {"required": ["worker", "job"]},
        "Post": _given(fields, BY_CLIENT),
        "Task": _object({"_id": TEXT, "_rev": REV, "worker": fields.pop("worker"), "job": fields.pop("job")}, **fields),
        "Tasks": _list_of("tasks", _ref("Task")),
        "History": _list_of("history", _ref("Entry")),
        "Written": _object(written),
        "Stored": _object({**written, "task": _ref("Task")}),
        "Refused": _object({"id": {"type": ["string", "null"]}, "error": TEXT, "reason": TEXT}),
        "Results": {"type": "array", "items": {"anyOf": [_ref("Written"), _ref("Refused")]}},
        "Change": _object(
            {"seq": COUNT, "id": TEXT, "changes": {"type": "array", "items": _object({"rev": REV})}}, doc=_ref("Task")
        ),
        "Changes": _object({
            "results": {"type": "array", "items": _ref("Change")}, "last_seq": COUNT, "pending": COUNT,
        }),
        "Control": _object({"paused": {"type": "boolean"}}, note={"type": ["string", "null"]})
        | {"additionalProperties": False},
        "Controlled": _object({"ok": {"const": True}, "worker": _ref("Worker")}),
        "Worker": _object({
            "name": TEXT,
            "state": {"enum": ["running", "paused", "draining", "stopped", "down"]},
            "paused": {"type": "boolean"},
            "note": {"type": ["string", "null"]},
            "jobs": {"type": "array", "items": TEXT},
            "instances": {"type": "array", "items": _object(told)},
            "tasks": {"type": "object", "additionalProperties": COUNT},
        }),
        "Workers": _object({"workers": {"type": "array", "items": _ref("Worker")}}),
        "Up": _object({"status": {"const": "ok"}}),
        "Description": _object({"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
        "Error": _object({"error": TEXT, "reason": TEXT}),
    }  # fmt: skip


def _given(fields: Schema, statuses: Sequence[Status]) -> Schema:
    """Describe what a client may send: nothing that is a worker's."""
    own = {name: schema for name, schema in fields.items() if name not in WORKER_FIELDS}
    own["_id"] = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH, "pattern": "^[^_]"}
    own["_rev"] = REV | {"description": "The revision that the client means"}
    own["date"] = {
        "description": "ISO 8601, UTC unless it has an offset, or a duration from now; absent means now",
        "anyOf": [*DATE["anyOf"], {"type": "string", "format": "duration", "examples": ["PT5M"]}, NULL],
    }
    own["status"] = {"enum": [*statuses, None]}
    return {"type": "object", "properties": own}
