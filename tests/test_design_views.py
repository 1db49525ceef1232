"""The views' map functions give what the embedded server's indexes hold."""

from __future__ import annotations

from typing import Any

import pytest
from javascript import javascript

from after.dates import parse_instant
from after.roster import TOLD
from after.server.rows import Keys, keys
from after.server.viewrows import VIEWS
from after.status import Status
from after.task import Document, check, is_task

AT = "2026-12-01T09:00:00.000Z"
CLAIM = {"instance": "i", "at": AT}
TASK: Document = {"_id": "a", "type": "task", "worker": "w", "job": "j", "date": AT}
FIELDS: list[Document] = [
    {"after": ["b"]}, {"after": ["b", "c", "b"], "ready": None}, {"after": ["b"], "ready": False}, {"after": []},
    {"after": ["b"], "ready": True}, {"key": "k"}, {"key": "k", "after": ["b"]},
    {"key": "k", "after": ["b"], "ready": True}, {"attempt": 0}, {"attempt": 1}, {"attempt": 2},
    {"repeat": {"interval": "P1D"}}, {"repeat": "R//PT1H", "attempt": 1},
]  # fmt: skip
TASKS: list[Document] = [
    *({**TASK, "status": status, "claim": claim} for status in [None, *Status] for claim in [None, CLAIM]),
    {"_id": "b", "worker": "w", "job": "j"},
    {"_id": "b", "worker": "w", "job": {"name": "j"}, "date": "2026-W49-2T09:00+05:30", "type": None},
    {**TASK, "date": None},
    {**TASK, "date": "0001-01-01", "claim": CLAIM},
    *(
        {**TASK, "status": status, "claim": claim, **more}
        for status in [None, *Status]
        for claim in [None, CLAIM]
        for more in FIELDS
    ),
]
OTHERS: list[Document] = [
    {"_id": "c"},
    {"_id": "c", "worker": "w"},
    {**TASK, "type": "other"},
    {"_id": "worker:w", "type": "control", "name": "w", "paused": True, "note": "stocktaking", "worker": "w"},
]
WRONG: list[Document] = [
    {**TASK, "date": "2026-13-01"},
    {**TASK, "priority": "high"},
    {**TASK, "status": "Waiting"},
    {**TASK, "status": 5},
    {**TASK, "status": ["done"], "date": 5},
    {**TASK, "retry": {"limit": -1}},
    {**TASK, "job": None},
    {**TASK, "after": ["b"], "key": 5},
    {**TASK, "after": ["b", 5]},
]


def rows(view: str, document: Document) -> list[Any]:
    """Give the keys and values that a map function emits for a document."""
    found = javascript().function(f"views/{view}", document)
    assert isinstance(found, list)
    return found


def expected(view: str, found: Keys | None) -> list[Any]:
    """Give the row that the embedded server has for a task with these keys."""
    if found is None:
        return []
    columns = [getattr(found, column) for column in VIEWS[view].columns]
    if view == "moved" and found.moved is None:
        return []
    return [] if None in columns else [[columns, None if view not in VALUES else getattr(found, VALUES[view])]]


VALUES = {"keyed": "instance", "moved": "worker"}


@pytest.mark.parametrize("view", ["due", "held", "by_date", "by_status", "by_worker", "keyed", "moved"])
def test_tasks_have_the_keys_of_the_embedded_server(view: str) -> None:
    told = 0
    for document in [*TASKS, *OTHERS]:
        found = keys(check(document), document) if is_task(document) else None
        assert rows(view, document) == expected(view, found), document
        told += len(rows(view, document))
    assert told >= 9


def test_blocked_tasks_are_told_by_each_that_they_wait_for() -> None:
    told = 0
    for document in TASKS:
        blocked = keys(check(document), document).is_blocked()
        awaited = sorted(set(document.get("after") or [])) if blocked else []
        assert sorted(rows("blocked", document)) == [[[one], "w"] for one in awaited], document
        told += len(awaited)
    assert told == 15


def test_tasks_of_a_worker_by_date() -> None:
    for document in TASKS:
        assert rows("by_worker_date", document) == [[["w", keys(check(document), document).date], None]]
    assert not any(rows("by_worker_date", document) for document in OTHERS)


@pytest.mark.parametrize("document", WRONG, ids=lambda document: repr(document)[40:])
def test_a_wrong_task_is_due_at_once_so_that_a_worker_ends_it(document: Document) -> None:
    assert rows("due", document) == [[["w", 0], None]]
    assert rows("due", {**document, "status": "err"}) == []
    ((_, status, date), _) = rows("by_worker", document)[0]
    assert status == "waiting"
    assert date in (0, parse_instant(AT))


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_nothing_breaks_a_view(view: str) -> None:
    odd: list[Any] = [None, 5, True, "x", [], ["x"], {}, {"a": 1}]
    names = ("worker", "job", "type", "date", "status", "claim", "retry", "name", "state")
    for field in (*names, "after", "key", "repeat", "attempt", "ready", "number", "task"):
        for value in odd:
            for identity in ("a", "worker:", "worker:w:1"):
                for row in rows(view, {**TASK, "_id": identity, field: value}):
                    assert len(row[0]) == len(VIEWS[view].columns)


def test_only_a_worker_with_a_name_has_tasks_of_its_own() -> None:
    nameless = {**TASK, "worker": 5, "claim": CLAIM}
    assert not any(rows(view, nameless) for view in ("due", "held", "by_worker", "by_worker_date", "roster"))
    assert rows("by_date", nameless) == [[[parse_instant(AT)], None]]


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("worker:w:1", [["w", "1"]]), ("worker:a:b:1", [["a:b", "1"]]), ("worker:w:", [["w", ""]]),
        ("worker:w", []), ("worker::1", []), ("worker:", []), ("w:1", []), ("history:w:1", []),
    ],
)  # fmt: skip
def test_worker_processes(identity: str, expected: list[Any]) -> None:
    document = {"_id": identity, "type": "worker", "name": "w", "state": "running"}
    assert rows("workers", document) == [[key, "running"] for key in expected]
    assert rows("workers", {**document, "type": "control"}) == []


def test_conflicts() -> None:
    two = ["1-b"]
    assert rows("conflicts", {**TASK, "_conflicts": two}) == [[["a"], "w"]]
    assert rows("conflicts", {"_id": "worker:w:1", "name": "w", "_conflicts": two}) == [[["worker:w:1"], "w"]]
    assert rows("conflicts", {"_id": "c", "worker": 5, "_conflicts": two}) == [[["c"], None]]
    assert rows("conflicts", TASK) == []


def test_the_roster_tells_all_that_is_told_of_workers() -> None:
    process = {"_id": "worker:w:1", "type": "worker", "name": "w", **dict.fromkeys(TOLD, "x"), "secret": 5}
    control = {"_id": "worker:w", "type": "control", "name": "w", "paused": True, "note": "n", "stop": AT}
    assert rows("roster", {**TASK, "status": "done"}) == [[["w", "task", "done"], None]]
    assert rows("roster", process) == [[["w", "instance", dict.fromkeys(TOLD, "x")], None]]
    assert rows("roster", control) == [[["w", "control", {"paused": True, "note": "n"}], None]]
    assert rows("roster", {**control, "paused": None, "note": 5}) == [
        [["w", "control", {"paused": False, "note": None}], None]
    ]
    assert rows("roster", {**control, "name": 5}) == rows("roster", {"_id": "c", "name": "w", "type": "control"}) == []
