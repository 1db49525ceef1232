"""Under which keys of the views one task is found as it changes."""

from __future__ import annotations

DAY = 86_400_000


def keys(client, view):
    """Give the keys of a view's rows."""
    return [row["key"] for row in client.get(f"/after/_design/after/_view/{view}").json["rows"]]


TASK = {"_id": "t", "worker": "w", "job": "j", "date": "1970-01-02"}
CLAIM = {"instance": "i", "at": "2026-12-01"}
LIFE = [
    ({"after": ["a", "b"]}, {"blocked": [["a"], ["b"]]}),
    ({"after": ["c"], "key": "k"}, {"blocked": [["c"]]}),
    ({"after": ["c"], "key": "k", "ready": True}, {"due": [["w", DAY]], "keyed": [["w", "k", 1, DAY]]}),
    (
        {"after": ["c"], "key": "k", "ready": True, "status": "running", "claim": CLAIM, "attempt": 1},
        {"held": [["w", "i"]], "keyed": [["w", "k", 0, DAY]], "moved": [[DAY]]},
    ),
    ({"after": ["c"], "key": "k", "ready": True, "status": "waiting", "attempt": 1},
     {"due": [["w", DAY]], "keyed": [["w", "k", 1, DAY]], "moved": [[DAY]]}),
    ({"after": ["c"], "key": "k", "status": "schedule", "attempt": 0}, {"blocked": [["c"]]}),
    ({"after": ["c"], "key": "l", "status": "reschedule"}, {"due": [["w", 0]], "keyed": [["w", "l", 1, DAY]]}),
    ({"after": ["c"], "key": "l", "status": "waiting"}, {"blocked": [["c"]]}),
    ({"after": ["c"], "key": "l", "status": "cancel"}, {"due": [["w", 0]], "keyed": [["w", "l", 1, DAY]]}),
    ({"after": ["c"], "key": "l", "status": "canceled"}, {}),
    ({"after": ["c"], "status": "schedule", "repeat": {"interval": "P1D"}}, {"blocked": [["c"]], "moved": [[DAY]]}),
    ({"_deleted": True}, {}),
]  # fmt: skip
"""What is written of one task, and the keys under which it is then found."""


def test_a_task_is_found_where_it_stands(client):
    rev = {}
    for written, expected in LIFE:
        answer = client.put("/after/t", {**TASK, **rev, **written})
        assert answer.status in (200, 201), answer.json
        rev = {"_rev": answer.json["rev"]}
        for name in ("due", "blocked", "held", "keyed", "moved"):
            assert keys(client, name) == expected.get(name, []), (written, name)


def test_what_was_replicated_is_found_where_it_stands(client):
    first = {**TASK, "after": ["a"], "_rev": "1-aa"}
    second = {**TASK, "after": ["b"], "_rev": "1-bb"}
    client.post("/after/_bulk_docs", {"docs": [first], "new_edits": False})
    assert keys(client, "blocked") == [["a"]]
    client.post("/after/_bulk_docs", {"docs": [second], "new_edits": False})
    assert keys(client, "blocked") == [["b"]]  # which is the winner
    client.delete("/after/t", rev="1-bb")
    assert keys(client, "blocked") == [["a"]]
