"""The task document: which fields it has, who writes them, and what is wrong with one that is wrong.

Documents stay plain dictionaries, because they are open: a field that After does not know is kept as it is.
The classes here describe the known fields, once, for checking and for the interface's description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from after.dates import parse_elapsed, parse_instant
from after.errors import BadRequest, InvalidTask
from after.recurrence import check_repeat
from after.repeat import CatchUp, Gap, Overlap, Repeat
from after.status import STATUSES, Status

Document = dict[str, Any]
"""A JSON object as it is stored, `_id` and `_rev` included where the document has them."""

MAX_ID_LENGTH = 512
MAX_KEY_LENGTH = 256
MAX_DEPENDENCIES = 10_000
WORKER_FIELDS = frozenset(
    {
        "claim", "attempt", "runs", "occurrence", "ready", "progress", "log", "result", "error", "history", "archived",
    }
)  # fmt: skip
"""Fields that a client may read and send back unchanged, but not set."""
RESERVED_IDS = ("worker:", "history:")
"""What begins so is a document of After's own."""

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^/\x00-\x1f\x7f]+$(?!\n)")]
DurationText = Annotated[str, Meta(description="An ISO 8601 duration of fixed length", examples=["PT10S", "P1D"])]


class Call(Struct):
    """The job that a task names, and what it is called with."""

    name: Name
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}


class Retry(Struct, forbid_unknown_fields=True):
    """What happens after a failed run."""

    limit: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    interval: DurationText = "PT0S"
    backoff: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    max: DurationText | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.0
    on_lost: bool = True


class Claim(Struct):
    """Which worker process holds the task, since when."""

    instance: str
    at: str


class Progress(Struct):
    """How far a running job says it is."""

    fraction: Annotated[float, Meta(ge=0, le=1)] | None = None
    text: str | None = None


class Occurrence(Struct):
    """Which occurrence of a repeating task is the next to run, or runs: its date before jitter and retries.

    `start` is the date that the occurrences are counted from, `number` that of this one, from 1, missed ones included.
    """

    start: str
    date: str
    number: Annotated[int, Meta(ge=1)] = 1


class Missed(Struct):
    """Occurrences that did not run, from the first to the last of them; without a `count` they are very many."""

    first: str
    last: str
    count: int | None = None


class Failure(Struct):
    """Why a run or a task failed."""

    type: str
    message: str
    traceback: str | None = None


class Entry(Struct):
    """One change of status in a task's history."""

    at: str
    status: Status
    by: str | None = None
    attempt: int | None = None
    date: str | None = None
    lateness_ms: float | None = None
    duration_ms: float | None = None
    next: str | None = None
    missed: Missed | None = None
    error: Failure | None = None
    note: str | None = None


class Fields(Struct):
    """The known fields of a task; all others are the user's own. `null` means the same as absent."""

    worker: Annotated[Name, Meta(description="The worker's name")]
    job: Annotated[Name | Call, Meta(description="A job's name, or its name and arguments")]
    type: Literal["task"] | None = None
    date: Annotated[str, Meta(description="ISO 8601; UTC unless it has an offset; absent means now")] | None = None
    status: Annotated[Status, Meta(description="Where the task stands; absent means waiting")] | None = None
    retry: Retry | None = None
    timeout: Annotated[DurationText, Meta(description="How long one run may take")] | None = None
    expires: Annotated[DurationText, Meta(description="How late it may still start")] | None = None
    priority: Annotated[int, Meta(ge=-100, le=100, description="Orders tasks that are due together")] | None = None
    tags: list[str] | None = None
    repeat: (
        Annotated[str | Repeat, Meta(description="When it runs again, also as ISO 8601: R5/START/PERIOD")] | None
    ) = None
    after: Annotated[list[str], Meta(description="Ids of tasks that must be done before")] | None = None
    key: Annotated[str, Meta(description="Tasks of one worker with one key run one at a time, by date")] | None = None
    claim: Claim | None = None
    attempt: Annotated[int, Meta(ge=0)] | None = None
    runs: Annotated[int, Meta(ge=0)] | None = None
    occurrence: Occurrence | None = None
    ready: bool | None = None
    progress: Progress | None = None
    log: list[Any] | None = None
    error: Failure | None = None
    history: list[Entry] | None = None
    archived: Annotated[int, Meta(ge=0)] | None = None


def is_task(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is a task: by its type or, without one, by having a worker and a job."""
    kind = document.get("type")
    return kind == "task" or (kind is None and "worker" in document and "job" in document)


def check(document: object) -> Fields:
    """Check every known field of a task; raise `InvalidTask` for the first that is wrong."""
    if not isinstance(document, Mapping):
        raise InvalidTask("task", f"expected `object`, got `{_json_type(document)}`")
    try:
        fields = msgspec.convert(document, Fields)
    except msgspec.ValidationError as error:
        raise _explained(str(error), document) from None
    if fields.date is not None:
        checked("date", parse_instant, fields.date)
    if fields.repeat is not None:
        _check_repeat(fields.repeat, fields)
    if fields.timeout is not None:
        checked("timeout", parse_elapsed, fields.timeout)
    if fields.expires is not None:
        checked("expires", parse_elapsed, fields.expires)
    if fields.key is not None and not 1 <= len(fields.key) <= MAX_KEY_LENGTH:
        raise InvalidTask("key", f"expected 1 to {MAX_KEY_LENGTH} characters, got {len(fields.key)}")
    if fields.after is not None and len(fields.after) > MAX_DEPENDENCIES:
        raise InvalidTask("after", f"expected at most {MAX_DEPENDENCIES} ids, got {len(fields.after)}")
    if fields.retry is not None:
        _check_retry(fields.retry)
    return fields


def converted(given: Mapping[str, Any], kind: Any) -> Any:
    """Read what somebody gave as a `kind` of structure; raise `InvalidTask` for the first member that is wrong."""
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), given) from None


def _check_repeat(repeat: str | Repeat, fields: Fields) -> None:
    # A series that has begun counts its occurrences from elsewhere than the date.
    counted = fields.date if fields.occurrence is None else None
    check_repeat(repeat, parse_instant(counted) if counted is not None else None)


def _check_retry(retry: Retry) -> None:
    checked("retry.interval", parse_elapsed, retry.interval)
    if retry.max is not None:
        checked("retry.max", parse_elapsed, retry.max)


def checked(field: str, parse: Any, text: str) -> int:
    """Parse a field's text to milliseconds; raise `InvalidTask` where it is not what `parse` reads."""
    try:
        return int(parse(text))
    except ValueError as error:
        raise InvalidTask(field, str(error)) from None


def check_id(identity: object) -> str:
    """Give the id of a task; raise `InvalidTask` unless it is 1 to 512 characters and not reserved."""
    if not isinstance(identity, str):
        raise InvalidTask("_id", f"expected `string`, got `{_json_type(identity)}`")
    if not 1 <= len(identity) <= MAX_ID_LENGTH:
        raise InvalidTask("_id", f"expected 1 to {MAX_ID_LENGTH} characters, got {len(identity)}")
    if identity.startswith("_"):
        raise InvalidTask("_id", "must not start with '_'")
    if "\0" in identity:
        raise InvalidTask("_id", "must not contain the character U+0000")
    if identity.startswith(RESERVED_IDS) or identity == "workers":
        raise InvalidTask("_id", f"{identity!r} is reserved for After's own documents")
    return identity


def holder_of(document: Mapping[str, Any]) -> str | None:
    """Give the process that has claimed a task, None where nobody has."""
    claim = document.get("claim")
    return claim.get("instance") if isinstance(claim, dict) else None


def is_blocked(document: Mapping[str, Any]) -> bool:
    """Tell whether a task still waits for others to be done."""
    return bool(document.get("after")) and document.get("ready") is not True


def due(document: Mapping[str, Any]) -> int:
    """Give the instant of a task in ms since the epoch; a task written without a date is due at once: 0."""
    date = document.get("date")
    return parse_instant(date) if date else 0


def call(document: Mapping[str, Any]) -> Call:
    """Give the job of a checked task with its arguments, also where only a name was written."""
    job = document["job"]
    return Call(job) if isinstance(job, str) else msgspec.convert(job, Call)


_CHOICES = {
    f"repeat.{path}": sorted(get_args(kind))
    for path, kind in {"catch_up": CatchUp, "dst.gap": Gap, "dst.overlap": Overlap}.items()
}
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def _explained(message: str, document: Mapping[str, Any]) -> BadRequest:
    """Turn msgspec's message into ours: first the field, then what was expected, in JSON's words."""
    match = _PLACE.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    if missing := _MISSING.match(what):
        return InvalidTask(f"{path}.{missing[1]}".lstrip("."), "is required")
    if unknown := _UNKNOWN.match(what):
        return InvalidTask(f"{path}.{unknown[1]}".lstrip("."), "is not a known field here")
    if path == "type":
        return InvalidTask("type", "expected 'task'")
    if path == "status" or what.startswith("Invalid enum value"):
        value = f"{document.get('status')!r:.80}" if path == "status" else what.removeprefix("Invalid enum value ")
        return InvalidTask(path, f"{value} is not one of {', '.join(_CHOICES.get(path) or sorted(STATUSES))}")
    if "matching regex" in what:
        return InvalidTask(path, "must not contain '/' or control characters")
    what = _PYTHON_TYPES.sub(lambda found: _JSON_TYPES[found[0]], what)
    return InvalidTask(path, what[:1].lower() + what[1:])


_JSON_TYPES = {
    "dict": "object", "list": "array", "str": "string", "bool": "boolean", "int": "integer", "float": "number",
}  # fmt: skip
_PYTHON_TYPES = re.compile(r"\b(?:str|bool|int|float)\b")


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value).__name__, "null")
