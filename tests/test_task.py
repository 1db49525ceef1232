"""Which task documents are good, and what a bad one is told."""

from __future__ import annotations

from typing import Any

import pytest

from after.errors import InvalidTask
from after.task import Call, call, check, check_id, due, is_task

BASE: dict[str, Any] = {"worker": "manobi", "job": "start_campaign"}
ENTRY = {"at": "2026-12-01T09:00:00.000Z", "status": "waiting"}


def reason_of(document: object) -> str:
    with pytest.raises(InvalidTask) as caught:
        check(document)
    assert caught.value.code == 400
    assert caught.value.reason.startswith(f"{caught.value.field}: ")
    return caught.value.reason


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"type": "task"},
        {"date": "2026-12-01"},
        {"date": "2026-12-01T09:00Z"},
        {"date": "2024-02-29T23:59:59.999+05:30"},
        {"date": "9999-12-31T23:59:59.999Z"},
        {"status": "schedule"},
        {"status": "canceled"},
        {"job": {"name": "j"}},
        {"job": {"name": "j", "arguments": [1, None, {"a": []}], "keywords": {"b": 1}}},
        {"job": {"name": "j", "color": "red"}},
        {"retry": {}},
        {"retry": {"limit": 3, "interval": "PT10S", "backoff": 2, "max": "PT1H", "jitter": 0.1, "on_lost": False}},
        {"retry": {"limit": 1_000_000, "interval": "P1D", "backoff": 1000, "max": None, "jitter": 1}},
        {"timeout": "PT0.5S", "expires": "P1DT1H"},
        {"priority": -100},
        {"priority": 100},
        {"tags": []},
        {"tags": ["spring", "sale"]},
        {"claim": {"instance": "i", "at": ENTRY["at"]}, "attempt": 0, "runs": 7, "log": ["a", {"b": 1}]},
        {"progress": {"fraction": 0.5, "text": "half"}},
        {"error": {"type": "ValueError", "message": "no", "traceback": None}},
        {"history": [ENTRY, {**ENTRY, "status": "done", "lateness_ms": 1.5, "duration_ms": 3, "own": 1}]},
        {"worker": "x" * 128},
        {"worker": "zażółć gęślą jaźń 🦆"},
        {"repeat": None, "after": None, "key": None},
        {"spring": {"sale": [True]}, "Ω": None},
    ],
    ids=repr,
)
def test_good_tasks(extra: dict[str, Any]) -> None:
    check({**BASE, **extra})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "worker: is required"),
        ({"job": "j"}, "worker: is required"),
        ({"worker": "w"}, "job: is required"),
        ([], "task: expected `object`, got `array`"),
        (None, "task: expected `object`, got `null`"),
        ("task", "task: expected `object`, got `string`"),
        (3, "task: expected `object`, got `integer`"),
    ],
    ids=repr,
)
def test_what_is_no_task_at_all(document: object, reason: str) -> None:
    assert reason_of(document) == reason


@pytest.mark.parametrize(
    ("extra", "field", "expected"),
    [
        ({"worker": None}, "worker", "expected `string`, got `null`"),
        ({"worker": 5}, "worker", "expected `string`, got `integer`"),
        ({"worker": ""}, "worker", "expected `string` of length >= 1"),
        ({"worker": "x" * 129}, "worker", "expected `string` of length <= 128"),
        ({"worker": "a/b"}, "worker", "must not contain '/' or control characters"),
        ({"worker": "a\n"}, "worker", "must not contain '/' or control characters"),
        ({"worker": "\x00"}, "worker", "must not contain '/' or control characters"),
        ({"job": None}, "job", "expected `string | object`, got `null`"),
        ({"job": 5}, "job", "expected `string | object`, got `integer`"),
        ({"job": True}, "job", "expected `string | object`, got `boolean`"),
        ({"job": []}, "job", "expected `string | object`, got `array`"),
        ({"job": ""}, "job", "expected `string` of length >= 1"),
        ({"job": {}}, "job.name", "is required"),
        ({"job": {"name": 5}}, "job.name", "expected `string`, got `integer`"),
        ({"job": {"name": "j", "arguments": {}}}, "job.arguments", "expected `array`, got `object`"),
        ({"job": {"name": "j", "keywords": [1]}}, "job.keywords", "expected `object`, got `array`"),
        ({"type": "worker"}, "type", "expected 'task'"),
        ({"type": 5}, "type", "expected 'task'"),
        ({"status": "paused"}, "status", "'paused' is not one of cancel, canceled, done"),
        ({"status": "Waiting"}, "status", "'Waiting' is not one of cancel, canceled, done"),
        ({"status": 5}, "status", "5 is not one of cancel, canceled, done"),
        ({"status": ["done"]}, "status", "['done'] is not one of cancel, canceled, done"),
        ({"priority": 101}, "priority", "expected `integer` <= 100"),
        ({"priority": -101}, "priority", "expected `integer` >= -100"),
        ({"priority": 0.5}, "priority", "expected `integer | null`, got `number`"),
        ({"priority": "1"}, "priority", "expected `integer | null`, got `string`"),
        ({"priority": True}, "priority", "expected `integer | null`, got `boolean`"),
        ({"tags": "spring"}, "tags", "expected `array | null`, got `string`"),
        ({"tags": ["a", 5]}, "tags[1]", "expected `string`, got `integer`"),
        ({"claim": "me"}, "claim", "expected `object | null`, got `string`"),
        ({"claim": {"instance": "i"}}, "claim.at", "is required"),
        ({"attempt": -1}, "attempt", "expected `integer` >= 0"),
        ({"runs": 1.5}, "runs", "expected `integer | null`, got `number`"),
        ({"progress": {"fraction": 2}}, "progress.fraction", "expected `number` <= 1.0"),
        ({"error": {"message": "m"}}, "error.type", "is required"),
        ({"history": {}}, "history", "expected `array | null`, got `object`"),
        ({"history": [ENTRY, {"status": "done"}]}, "history[1].at", "is required"),
        ({"history": [{**ENTRY, "status": "x"}]}, "history[0].status", "'x' is not one of cancel, canceled"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_bad_tasks(extra: dict[str, Any], field: str, expected: str) -> None:
    assert reason_of({**BASE, **extra}).startswith(f"{field}: {expected}")


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ("PT10S", "retry", "expected `object | null`, got `string`"),
        ({"limits": 3}, "retry.limits", "is not a known field here"),
        ({"limit": 3, "Interval": "PT1S"}, "retry.Interval", "is not a known field here"),
        ({"limit": -1}, "retry.limit", "expected `integer` >= 0"),
        ({"limit": 1_000_001}, "retry.limit", "expected `integer` <= 1000000"),
        ({"limit": 2**70}, "retry.limit", "expected `integer` <= 1000000"),
        ({"limit": "3"}, "retry.limit", "expected `integer`, got `string`"),
        ({"limit": 1.5}, "retry.limit", "expected `integer`, got `number`"),
        ({"backoff": 0.5}, "retry.backoff", "expected `number` >= 1.0"),
        ({"backoff": 1001}, "retry.backoff", "expected `number` <= 1000.0"),
        ({"backoff": float("nan")}, "retry.backoff", "expected `number` >= 1.0"),
        ({"jitter": 1.1}, "retry.jitter", "expected `number` <= 1.0"),
        ({"jitter": -0.1}, "retry.jitter", "expected `number` >= 0.0"),
        ({"on_lost": "no"}, "retry.on_lost", "expected `boolean`, got `string`"),
        ({"interval": 10}, "retry.interval", "expected `string`, got `integer`"),
        ({"interval": "10s"}, "retry.interval", "'10s' is not an ISO 8601 duration"),
        ({"interval": "P1M"}, "retry.interval", "'P1M' has no fixed length"),
        ({"max": "P1Y"}, "retry.max", "'P1Y' has no fixed length"),
    ],
    ids=repr,
)
def test_bad_retries(given: object, field: str, expected: str) -> None:
    assert reason_of({**BASE, "retry": given}).startswith(f"{field}: {expected}")


@pytest.mark.parametrize(
    "date",
    [
        "", "tomorrow", "2026", "2026-12", "2026-13-01", "2026-02-29", "2026-04-31", "2026-00-10", "2026-12-00",
        "2026-12-01T25:00Z", "2026-12-01T09:60Z", "2026-12-01T09:00:61Z", "2026-12-01T09:00+24:00",
        "2026-12-01T09:00-99:00", "2026-12-01T09:00+5", "10000-01-01", "+10000-01-01T00:00:00Z", "0000-01-01",
        "9999-12-31T23:59:59-01:00", "0001-01-01T00:00+01:00", "1e12", "PT5M", "2026-12-01T09:00Z ",
    ],
)  # fmt: skip
def test_dates_that_are_none(date: str) -> None:
    assert reason_of({**BASE, "date": date}) == f"date: {date!r} is not an ISO 8601 date"


@pytest.mark.parametrize("date", [1_796_115_600_000, 5.5, True, ["2026-12-01"], {}])
def test_dates_that_are_not_text(date: object) -> None:
    assert reason_of({**BASE, "date": date}).startswith("date: expected `string | null`, got `")


@pytest.mark.parametrize("field", ["timeout", "expires"])
@pytest.mark.parametrize("text", ["", "5", "PT", "P", "-PT1S", "PT-1S", "PT1X", "1H", "PT1S ", "P1DT"])
def test_durations_that_are_none(field: str, text: str) -> None:
    assert reason_of({**BASE, field: text}) == f"{field}: {text!r} is not an ISO 8601 duration"


@pytest.mark.parametrize("field", ["timeout", "expires"])
@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y2DT3H"])
def test_durations_without_a_fixed_length(field: str, text: str) -> None:
    assert "has no fixed length; use days, hours, minutes or seconds" in reason_of({**BASE, field: text})


def test_a_reason_is_short_even_where_the_value_is_long() -> None:
    for extra in ({"status": "x" * 100_000}, {"date": "x" * 100_000}, {"timeout": "x" * 100_000}):
        assert len(reason_of({**BASE, **extra})) < 300


def test_null_means_absent_for_every_optional_field() -> None:
    optional = ["type", "date", "status", "retry", "timeout", "expires", "priority", "tags", "repeat", "after", "key"]
    worker_fields = ["claim", "attempt", "runs", "progress", "log", "error", "history", "result"]
    assert check({**BASE, **dict.fromkeys(optional + worker_fields)}) == check(BASE)


def test_checking_changes_nothing_and_unknown_fields_are_no_fault() -> None:
    document = {**BASE, "colour": {"deep": [1, 2]}, "_id": "a", "_rev": "1-b", "result": {"any": ["thing"]}}
    before = {**document, "colour": {"deep": [1, 2]}, "result": {"any": ["thing"]}}
    check(document)
    assert document == before


@pytest.mark.parametrize("identity", ["a", "x" * 512, "a/b", "é", "a:b", "worker", "a_worker:b", "workers-1", "~"])
def test_good_ids(identity: str) -> None:
    assert check_id(identity) == identity


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("", "expected 1 to 512 characters, got 0"),
        ("x" * 513, "expected 1 to 512 characters, got 513"),
        ("x" * 600, "expected 1 to 512 characters, got 600"),
        ("_design/after", "must not start with '_'"),
        ("_", "must not start with '_'"),
        ("worker:manobi:1", "'worker:manobi:1' is reserved"),
        ("history:a:1", "'history:a:1' is reserved"),
        ("workers", "'workers' is reserved"),
        (5, "expected `string`, got `integer`"),
        (None, "expected `string`, got `null`"),
        (True, "expected `string`, got `boolean`"),
        (["a"], "expected `string`, got `array`"),
    ],
)
def test_bad_ids(identity: object, expected: str) -> None:
    with pytest.raises(InvalidTask) as caught:
        check_id(identity)
    assert caught.value.reason.startswith(f"_id: {expected}")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "task"}, True),
        (BASE, True),
        ({**BASE, "type": None}, True),
        ({**BASE, "type": "worker"}, False),
        ({"worker": "w"}, False),
        ({"job": "j"}, False),
        ({}, False),
    ],
)
def test_what_is_a_task(document: dict[str, Any], expected: bool) -> None:
    assert is_task(document) is expected


def test_a_task_without_a_date_is_due_at_once() -> None:
    assert due(BASE) == due({**BASE, "date": None}) == 0
    assert due({**BASE, "date": "1970-01-02"}) == 86_400_000


def test_a_job_by_name_is_a_call_without_arguments() -> None:
    assert call(BASE) == Call("start_campaign", [], {})
    given = {"name": "j", "arguments": [2, "teste"], "keywords": {"a": 1}}
    assert call({**BASE, "job": given}) == Call("j", [2, "teste"], {"a": 1})
