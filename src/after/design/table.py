"""The JavaScript module that knows what Python's tables of statuses and fields say, so that the two cannot differ."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from after import task
from after.history import ARCHIVED
from after.roster import TOLD
from after.status import ENDED, NEW_BY_CLIENT, REQUESTS, STATUSES, TRANSITIONS, Status
from after.task import MAX_DEPENDENCIES, MAX_ID_LENGTH, MAX_KEY_LENGTH, RESERVED_IDS, WORKER_FIELDS, Fields

_NAMES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.EnumType: "string",
    inspect.LiteralType: "string",
    inspect.ListType: "array",
    inspect.DictType: "object",
    inspect.StructType: "object",
    inspect.NoneType: "null",
}


def table() -> str:
    """Give the source of `lib/table.js`."""
    transitions: dict[str, dict[str, list[str]]] = {}
    for (old, new), roles in TRANSITIONS.items():
        transitions.setdefault(old or "", {})[new] = sorted(roles)
    known = {
        "statuses": list(Status),
        "sortedStatuses": sorted(STATUSES),
        "ended": sorted(ENDED),
        "requests": sorted(REQUESTS),
        "newByClient": sorted(NEW_BY_CLIENT),
        "transitions": transitions,
        "workerFields": sorted(WORKER_FIELDS),
        "reservedIds": list(RESERVED_IDS),
        "maxIdLength": MAX_ID_LENGTH,
        "maxKeyLength": MAX_KEY_LENGTH,
        "maxDependencies": MAX_DEPENDENCIES,
        "archived": ARCHIVED,
        "fields": described(inspect.type_info(Fields)),
        "told": list(TOLD),
    }
    return "".join(f"exports.{name} = {msgspec.json.encode(value).decode()};\n" for name, value in known.items())


def described(kind: inspect.Type) -> dict[str, Any] | None:
    """Describe what a field may hold; None where that is anything.

    `expected` names its types as an error does; `length`, `range` and `values` bound it, `name` forbids what no name
    may have; `items` are an array's elements; `fields`, `required` and `closed` describe an object.
    """
    if isinstance(kind, inspect.Metadata):
        return described(kind.type)
    if isinstance(kind, inspect.AnyType):
        return None
    described_as: dict[str, Any] = {}
    alternatives = _alternatives(kind)
    for one in alternatives:
        described_as |= _details(one)
    types = [_NAMES[type(one)] for one in alternatives]
    return {"types": types, "expected": " | ".join(types), **described_as}


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [one for part in kind.types for one in _alternatives(part)]
    return [kind]


def _details(kind: inspect.Type) -> dict[str, Any]:
    match kind:
        case inspect.StrType(min_length=low, max_length=high, pattern=pattern):
            if pattern not in (None, _NAME_PATTERN):
                raise NotImplementedError(f"the pattern {pattern} has no counterpart in lib/task.js")
            return {} if pattern is None else {"length": [low, high], "name": True}
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            return {} if low is None and high is None else {"range": [low, high]}
        case inspect.EnumType(cls=statuses):
            return {"values": sorted(statuses)}
        case inspect.LiteralType(values=values):
            return {"values": sorted(values)}
        case inspect.ListType(item_type=item):
            return {"items": described(item)}
        case inspect.StructType(fields=fields, forbid_unknown_fields=closed):
            return {
                "fields": {one.encode_name: described(one.type) for one in fields},
                "required": [one.encode_name for one in fields if one.required],
                "closed": closed,
            }
    return {}


_NAME_PATTERN = next(
    one.type.type.pattern
    for one in inspect.type_info(task.Fields).fields  # type: ignore[attr-defined]
    if one.name == "worker"
)
