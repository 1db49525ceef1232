"""Python and the design document's JavaScript judge every status, role and field alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from javascript import Thrown, javascript
from msgspec.structs import fields

from after.errors import Refusal
from after.events import Requested
from after.idempotence import difference
from after.lifecycle import apply, create
from after.repeat import Repeat
from after.status import Role, Status, refused
from after.task import (
    RESERVED_IDS,
    WORKER_FIELDS,
    Call,
    Claim,
    Document,
    Entry,
    Failure,
    Fields,
    Occurrence,
    Progress,
    Retry,
    check,
    check_id,
    due,
    is_task,
)

NOW = 1_796_115_600_000
AT = "2026-12-01T09:00:00.000Z"
BASE: Document = {"_id": "a", "worker": "w", "job": "j"}
ROLES = {Role.WORKER: ["worker"], Role.CLIENT: ["after"]}
STATUSES = [None, *Status, "paused", "", "constructor"]


def outcome(call: Any, *given: Any) -> Any:
    """Give what Python's function gives, or the refusal that it raises, as JSON has it."""
    try:
        value = call(*given)
    except Refusal as refusal:
        return {"code": refusal.code, "error": refusal.error, "reason": refusal.reason}
    return json.loads(json.dumps(value))


def in_javascript(module: str, name: str, *given: Any) -> Any:
    """Give the same of JavaScript's."""
    try:
        return javascript().module(f"lib/{module}", name, *given)
    except Thrown as thrown:
        return thrown.value


def judged(document: Document, old: Document | None, roles: list[str]) -> str | None:
    """Give why `validate_doc_update` refuses a document, None where it does not."""
    try:
        javascript().function("validate_doc_update", document, old, {"name": "x", "roles": roles}, {})
    except Thrown as thrown:
        (reason,) = thrown.value.values()
        return f"{reason}" if "forbidden" in thrown.value else f"thrown: {thrown.value}"
    return None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("old", [None, *Status])
def test_every_change_of_status(old: str | None, role: Role) -> None:
    for new in [*Status, "paused", "constructor"]:
        assert in_javascript("status", "refused", old, new, role) == refused(old, new, role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("old", [None, "absent", *Status])
def test_every_change_of_status_as_it_is_validated(old: str | None, role: Role) -> None:
    stored = None if old is None else BASE if old == "absent" else {**BASE, "status": old}
    before = "waiting" if old == "absent" else old
    for new in [None, *Status]:
        expected = refused(before, new or "waiting", role)
        assert judged({**BASE, "status": new}, stored, ROLES[role]) == expected
        assert judged({**BASE, "status": new}, stored, ["_admin"]) is None
        if stored is not None:
            gone = {**stored, "_deleted": True}
            assert judged({**BASE, "status": new}, gone, ROLES[role]) == refused(None, new or "waiting", role)


NO_CALENDAR = ("repeat.timezone: ", "repeat.cron: ", "repeat.rrule: ")
"""What JavaScript does not read: a worker ends a task that is wrong there."""


def without_calendar(refusal: Any) -> Any:
    """Give a refusal, None where only a calendar can tell that it is one."""
    reason = "" if refusal is None else refusal["reason"]
    return None if reason.startswith(NO_CALENDAR) and ": expected `" not in reason else refusal


DAILY = {"interval": "P1D"}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 7, 100, 101, -101, 1001, 1_000_001, 10**20, 0.5, -0.5, 1.5, 1e-7,
    "", "x", "task", "a/b", "a\n", "\x00", "\x7f", "é", "🦆" * 128, "🦆" * 129, "x" * 128, "x" * 129, "x" * 1000,
    "it's", "\"it's\"", "back\\slash", "\u200b\xa0\u2028", "done", "Done",
    "PT5S", "P1M", "P1Y2M3W4DT25H61M7.5S", "P9999Y", "P10000Y", "PT0,12345S", "5s",
    "2026-12-01", "2026-13-01", "2026-W49-2T09:30+05:30", "0001-01-01T00:00+01:00",
    [], ["a"], [1], [None], [[]], {}, {"a": [1, None, True]},
    {"name": "j"}, {"instance": "i", "at": "x"}, {"type": "T", "message": "m"}, {"at": AT, "status": "done"},
    [{"at": AT, "status": "done"}], [{"at": AT, "status": "x"}], [{"at": AT}, 5],
]  # fmt: skip
OBJECTS: dict[str, tuple[type, Any]] = {
    "job": (Call, {"name": "j"}),
    "retry": (Retry, {}),
    "claim": (Claim, {"instance": "i", "at": AT}),
    "progress": (Progress, {}),
    "error": (Failure, {"type": "T", "message": "m"}),
    "occurrence": (Occurrence, {"start": AT, "date": AT, "number": 1}),
    "repeat": (Repeat, {"interval": "P1D"}),
}
PLACES = [
    *((field.name,) for field in fields(Fields)),
    *((name, field.name) for name, (kind, _) in OBJECTS.items() for field in fields(kind)),
    *(("history", 0, field.name) for field in fields(Entry)),
    ("history", 1, "error", "message"),
    ("history", 1, "missed", "count"), ("repeat", "dst", "gap"), ("repeat", "dst", "overlap"), ("repeat", "dst", "x"),
    ("retry", "limits"), ("job", "colour"), ("repeat", "count"), ("own",), ("result",),
]  # fmt: skip


def written(place: tuple[Any, ...], value: Any) -> Document:
    """Give a sound task with one value in this place."""
    sound: Document = {**BASE, **{name: whole for name, (_, whole) in OBJECTS.items() if name == place[0]}}
    if place[0] == "history":
        missed = {"first": AT, "last": AT}
        failed = {"at": AT, "status": "err", "error": OBJECTS["error"][1], "missed": missed}
        sound["history"] = [{"at": AT, "status": "waiting"}, failed]
    if place[:2] == ("repeat", "dst"):
        sound["repeat"] = {"interval": "P1D", "dst": {}}
    sound = json.loads(json.dumps(sound))
    within: Any = sound
    for name in place[:-1]:
        within = within[name]
    within[place[-1]] = value
    return sound


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_field(place: tuple[Any, ...]) -> None:
    for value in VALUES:
        task = written(place, value)
        expected = without_calendar(outcome(lambda one: check(one) and None, task))
        if not is_task(task):
            assert judged(task, None, ["_admin"]) is None
        else:
            assert judged(task, None, ["_admin"]) == (expected and expected["reason"])
        found = in_javascript("task", "check", task)
        assert (found if "code" in found else None) == expected, value


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_field_left_out(place: tuple[Any, ...]) -> None:
    task = written(place, None)
    within: Any = task
    for name in place[:-1]:
        within = within[name]
    del within[place[-1]]
    found = in_javascript("task", "check", task)
    assert (found if "code" in found else None) == without_calendar(outcome(lambda one: check(one) and None, task))


@pytest.mark.parametrize("value", [None, 5, 1.5, True, "task", [], ["a"]])
def test_what_is_no_document(value: Any) -> None:
    assert in_javascript("task", "check", value) == outcome(check, value)


def test_the_first_wrong_field_is_told() -> None:
    for task in ({"job": 5, "worker": 5}, {"worker": 5, "job": 5}, {"job": 5}, {"job": "j", "retry": {"x": 1}}):
        assert in_javascript("task", "check", task) == outcome(check, task)


@pytest.mark.parametrize(
    "identity",
    [
        "a", "", "x" * 512, "x" * 513, "🦆" * 512, "🦆" * 513, "_a", "a\0", "workers", "workers2", *RESERVED_IDS,
        None, 5, ["a"],
    ],
)  # fmt: skip
def test_every_id(identity: Any) -> None:
    assert in_javascript("task", "checkId", identity) == outcome(check_id, identity)


KINDS = [{}, {"type": None}, {"type": "task"}, {"type": "worker"}, {"type": 5}]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_what_is_a_task(kind: Document) -> None:
    for rest in ({}, {"worker": "w"}, {"job": None}, {"worker": None, "job": None}):
        assert in_javascript("task", "isTask", {**kind, **rest}) is is_task({**kind, **rest})


def test_when_a_task_is_due() -> None:
    for date in (None, "", "2026-12-01", "2026-12-01T09:00:00.123Z"):
        assert in_javascript("task", "due", {**BASE, "date": date}) == due({**BASE, "date": date})


@pytest.mark.parametrize("field", sorted(WORKER_FIELDS - {"history"}))
def test_clients_do_not_set_what_workers_write(field: str) -> None:
    value = {"attempt": 3, "runs": 3, "log": ["x"], "archived": 100, "ready": True}.get(field)
    value = value or OBJECTS.get(field, (None, {"fraction": 0.5}))[1]
    reason = f"{field}: is set by workers only"
    client, worker = ROLES[Role.CLIENT], ROLES[Role.WORKER]
    assert judged({**BASE, field: value}, None, client) == reason
    assert judged({**BASE, field: value}, BASE, client) == reason
    assert judged({**BASE, field: value}, {**BASE, field: value}, client) is None
    assert judged(BASE, {**BASE, field: value}, client) is None
    assert judged({**BASE, field: value}, None, worker) is None


def test_what_clients_ask_for_passes_the_rules() -> None:
    told = {"after": ["b"], "ready": True, "attempt": 2, "history": [{"at": AT, "status": "done"}], "repeat": DAILY}
    known = {**BASE, **told, "runs": 5, "occurrence": {"start": AT, "date": AT, "number": 4}}
    for stored, status, changes in (
        ({**known, "status": "done", "result": 5}, "schedule", {}),
        ({**known, "status": "done", "repeat": "R//P1D"}, "schedule", {}),
        ({**known, "status": "waiting"}, "reschedule", {"date": "2027-01-01"}),
        ({**known, "status": "waiting", "occurrence": None}, "reschedule", {"date": "2027-01-01"}),
        ({**known, "status": "waiting"}, "reschedule", {"repeat": "R//P1D", "date": None}),
        ({**known, "status": "waiting"}, "reschedule", {"after": ["b"]}),
    ):
        asked = {"status": status, "changes": changes, "by": "c"}
        made = javascript().module("lib/lifecycle", "requested", stored, asked, NOW)
        assert made == apply(stored, Requested(status, changes, "c"), NOW)
        assert judged(made, stored, ROLES[Role.CLIENT]) is None
        if made.get("occurrence"):
            for wrong in ({"number": 5}, {"start": "2027-01-02"}, {"date": "2027-01-02"}, {"date": 5}):
                forged = {**made, "occurrence": {**made["occurrence"], **wrong}}
                assert judged(forged, stored, ROLES[Role.CLIENT]) is not None
    new = javascript().module("lib/lifecycle", "create", BASE, NOW, "client")
    assert judged(new, None, ROLES[Role.CLIENT]) is None


def test_documents_that_are_no_tasks() -> None:
    process = {"_id": "worker:w:1", "type": "worker", "name": "w"}
    archive = {"_id": "history:a:0", "type": "history", "task": "a", "number": 0, "history": []}
    control = {"_id": "worker:w", "type": "control", "name": "w"}
    other = {"_id": "x", "worker": 5}
    for roles in (ROLES[Role.CLIENT], [], ROLES[Role.WORKER], ["_admin"]):
        for document in (
            control,
            other,
            {"_id": "_design/x", "worker": 5, "job": 5},
            {**BASE, "job": 5, "_deleted": True},
        ):
            assert judged(document, None, roles) is None
        allowed = bool({"worker", "_admin"} & set(roles))
        for own in (process, archive):
            assert (judged(own, None, roles) is None) is allowed
            assert (judged({**own, "type": "x"}, own, roles) is None) is allowed
            assert judged({**own, "_deleted": True}, own, roles) is None


# Python takes true for 1, which JavaScript and everybody else does not.
texts = st.sampled_from(["", "a", "b", "__proto__", "length", "10", "2", "é", "\ue000", "🦆"])
scalars = st.none() | st.booleans() | st.integers(2, 2**53) | texts
flat = st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2)
values = scalars | flat | st.lists(flat, max_size=2) | st.dictionaries(texts, flat, max_size=2)
dates = st.sampled_from([None, "", "2026-12-01", "2026-12-01T09:00Z", AT, "2027-01-01T00:00:00.000Z", "x", "PT5M", 5])
statuses = st.sampled_from([None, "", "paused", *(status.value for status in Status)])
entries = st.fixed_dictionaries({"at": st.just(AT), "status": st.sampled_from([*Status])}, optional={"date": dates})
histories = st.none() | st.lists(entries | st.sampled_from([5, None, "x"]), max_size=3) | st.just("x")
KNOWN: dict[Any, Any] = {
    "date": dates, "status": statuses, "type": st.sampled_from([None, "task", "worker"]),
    "priority": st.integers(2, 103),
    "tags": values, "attempt": st.integers(-1, 3), "result": scalars, "history": histories, "_id": st.just("a"),
    "claim": st.sampled_from([None, {"instance": "i", "at": AT}, {}]), "own": values, "\ue000": scalars, "🦆": scalars,
    "__proto__": scalars, "constructor": scalars,
    "after": st.none() | st.lists(texts, max_size=2), "ready": st.sampled_from([None, True, False]),
    "key": st.none() | texts, "runs": st.none() | st.integers(2, 3),
    "repeat": st.sampled_from([None, "R//P1D", f"R/{AT}/P1D", DAILY, {**DAILY, "until": AT}, {}]),
    "occurrence": st.sampled_from([None, OBJECTS["occurrence"][1], {"start": AT, "date": AT}]),
    "archived": st.sampled_from([None, 100]),
}  # fmt: skip
documents = st.fixed_dictionaries({"worker": st.sampled_from(["w", "w", "v", 5]), "job": st.just("j")}, optional=KNOWN)
parts = st.fixed_dictionaries({}, optional=KNOWN)


@settings(deadline=None)
@given(documents)
def test_what_is_created(document: Document) -> None:
    assert in_javascript("lifecycle", "create", document, NOW, "eve") == outcome(create, document, NOW, "eve")


@settings(deadline=None)
@given(documents, statuses.filter(lambda status: status is not None), parts)
def test_what_is_requested(task: Document, status: str, changes: Document) -> None:
    found = in_javascript("lifecycle", "requested", task, {"status": status, "changes": changes, "by": "eve"}, NOW)
    assert found == outcome(apply, task, Requested(status, changes, "eve"), NOW)


@settings(deadline=None)
@given(parts, documents, st.none() | st.just(AT))
def test_what_differs(given_again: Document, task: Document, date: str | None) -> None:
    history = task.get("history")
    if isinstance(history, list) and all(isinstance(entry, dict) for entry in history):
        assert in_javascript("idempotence", "difference", given_again, task, date) == difference(
            given_again, task, date
        )
    assert in_javascript("idempotence", "difference", task, task, None) is None


@pytest.mark.parametrize("wrong", [{"date": "tomorrow"}, {"priority": "high"}, {"job": {"arguments": []}}])
def test_what_was_wrong_before_there_were_rules_can_be_ended_by_a_worker(wrong: Document) -> None:
    old = {"_id": "a", "worker": "w", "job": "j", "status": "waiting", **wrong}
    ended = {**old, "status": "err"}
    assert judged(ended, old, ["worker"]) is None
    assert judged(ended, old, ["client"]) is not None
    assert judged({**old, "status": "scheduled"}, old, ["worker"]) is not None
    assert judged(ended, {**old, "date": None, "priority": 0, "job": "j"}, ["worker"]) is not None
