"""The description of `_edit`, `_audit` and `_next`, beside that of the rest of the REST interface."""

from __future__ import annotations

import msgspec

from after.audit import OUTCOMES, Row
from after.editing import Action, Request
from after.nexts import DEFAULT_COUNT, MAX_COUNT
from after.server.openapi import (
    COUNT,
    CURSOR,
    DATE,
    LIMIT,
    NEXT,
    TEXT,
    Schema,
    _answer,
    _json,
    _object,
    _operation,
    _query,
    _ref,
)  # fmt: skip
from after.status import Status

LENGTH: Schema = {"type": "string", "format": "duration"}


def extended(description: Schema) -> Schema:
    """Give a description of the interface with these paths too."""
    paths = {
        "/tasks/_edit": {"post": _edit()},
        "/tasks/_audit": {"get": _audit()},
        "/tasks/_next": {"get": _next()},
    }
    components = {"schemas": description["components"]["schemas"] | _schemas()}
    return {**description, "paths": description["paths"] | paths, "components": components}


def _edit() -> Schema:
    operation = _operation(
        "editTasks", "Cancel, reschedule or run again all tasks that a filter selects", [],
        {200: _answer("Edited")}, 400, 413, 415, 503,
    )  # fmt: skip
    return operation | {"requestBody": {"required": True, "content": _json(_ref("Edit"))}}


def _audit() -> Schema:
    parameters = [
        _query("from", DATE, "What was due then or later; a day before `to` without it"),
        _query("to", DATE, "What was due before; now without it"),
        _query("worker", {"type": "string", "minLength": 1}, "Tasks of this worker"),
        _query("tag", {"type": "string", "minLength": 1}, "Tasks that bear this tag"),
        _query("tolerance", LENGTH | {"default": "PT1S"}, "What starts later than so long after its date is late"),
        LIMIT,
        NEXT,
    ]
    return _operation("auditTasks", "What was due, and what became of it", parameters, {200: _answer("Audit")}, 400)


def _next() -> Schema:
    number = {"type": "integer", "minimum": 1, "maximum": MAX_COUNT, "default": DEFAULT_COUNT}
    parameters = [
        _query("repeat", {"type": "string", "examples": ['{"cron": "0 9 * * *"}']}, "A task's repeat, as JSON")
        | {"required": True},
        _query("from", DATE, "The date of the task; now without it"),
        _query("count", number, "How many instants"),
    ]
    return _operation("nextInstants", "When a repeat would come round", parameters, {200: _answer("Instants")}, 400)


def _schemas() -> Schema:
    """Describe what is sent and answered."""
    (edit, row), named = msgspec.json.schema_components([Request, Row], ref_template="#/components/schemas/{name}")
    schemas = {name: schema for name, schema in named.items() if name not in ("Request", "Row", "Outcome")}
    assert edit["$ref"].endswith("/Request")
    assert row["$ref"].endswith("/Row")
    asked = named["Request"]
    asked["properties"]["action"] = {"enum": [*Action]}
    becomes = _object({"status": {"enum": [*Status]}, "date": TEXT})
    line = {"id": TEXT, "worker": {"type": ["string", "null"]}, "status": TEXT, "date": {}, "becomes": becomes}
    told = named["Row"]
    told["properties"]["outcome"] = {"enum": [*OUTCOMES]}
    rows = {"type": "array", "items": _ref("AuditRow")}
    return schemas | {
        "Edit": asked,
        "Edited": _object({
            "dry_run": {"type": "boolean"}, "matched": COUNT, "changed": COUNT,
            "refused": {"type": "array", "items": _ref("Refused")},
            "tasks": {"type": "array", "items": _object(line)}, "cursor": CURSOR,
        }),
        "AuditRow": told,
        "Audit": _object({"from": TEXT, "to": TEXT, "rows": rows, "cursor": CURSOR}),
        "Instants": _object({"next": {"type": "array", "items": TEXT}}),
    }  # fmt: skip
