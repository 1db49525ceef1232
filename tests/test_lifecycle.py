"""What holds for every task, whatever happens to it and in whatever order."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from after.errors import Forbidden
from after.events import Claimed, Ended, Event, Lost, Released, Requested, Started
from after.lifecycle import apply, create
from after.outcome import Done, Outcome, Stopped, failed, of_exception
from after.status import ENDED, HELD, REQUESTS, STATUSES, Role, refused
from after.task import Document, check

NOW = 1_796_115_600_000
OWN = {"colour": {"deep": [1, None]}, "_id": "a", "_rev": "1-b", "tags": ["spring"], "Ω": None, "priority": 3}

instances = st.sampled_from(["one", "two"])
OUTCOMES: list[Outcome] = [
    Done(), Done({"sold": 3}), Stopped(), Stopped("drained"),
    failed("Timeout", "too long"), failed("Expired", "late", final=True), of_exception(ValueError("no")),
]  # fmt: skip
outcomes = st.sampled_from(OUTCOMES)
retries = st.none() | st.fixed_dictionaries(
    {"limit": st.integers(0, 3), "interval": st.sampled_from(["PT0S", "PT10S"]), "on_lost": st.booleans()}
)
changes = st.fixed_dictionaries({}, optional={"date": st.sampled_from([None, "2027-01-01"]), "size": st.integers(1, 3)})


@st.composite
def tasks(draw: st.DrawFn) -> Document:
    """Tasks made through the interface, and raw documents that went round it."""
    given = {"worker": "w", "job": "j", "retry": draw(retries), **OWN}
    if draw(st.booleans()):
        return create({**given, "status": draw(st.sampled_from([None, "waiting", "schedule"]))}, NOW)
    raw = draw(
        st.fixed_dictionaries({}, optional={"date": st.sampled_from([None, "2026-12-01"]), "attempt": st.none()})
    )
    status: dict[str, Any] = draw(st.sampled_from([{}, {"status": None}, *({"status": name} for name in REQUESTS)]))
    return {**given, **raw, **status}


@st.composite
def events(draw: st.DrawFn, now: int, started: Started | None) -> Event:
    """Any event; the end of a run is that of the run that was started, of one that was not written, or of none."""
    instance = draw(instances)
    kind = draw(st.sampled_from([Claimed, Started, Ended, Ended, Released, Lost, Requested, Requested]))
    if kind is Started:
        return Started(instance, now - draw(st.integers(0, 50)), draw(st.floats(0, 1e6)))
    if kind is Ended:
        unwritten = Started(instance, now - 77, 1.5)
        run = draw(st.sampled_from([None, unwritten, started or unwritten]))
        return Ended(run.instance if run else instance, draw(outcomes), run, 20.0, chance=draw(st.floats(0, 1)))
    if kind is Lost:
        return Lost(instance, draw(instances))
    if kind is Requested:
        return Requested(
            draw(st.sampled_from(sorted(STATUSES))), draw(changes), draw(st.sampled_from(["client", "eve"]))
        )
    return Claimed(instance) if kind is Claimed else Released(instance)


def role_of(event: Event) -> Role:
    return Role.CLIENT if isinstance(event, Requested) else Role.WORKER


def status_of(task: Document) -> str:
    return str(task.get("status") or "waiting")


def applied(task: Document, event: Event, now: int) -> Document | None:
    """Give the next task, None where the event is refused: a worker can always let go of a task."""
    if isinstance(event, Ended | Released | Lost):
        return apply(task, event, now)
    try:
        return apply(task, event, now)
    except Forbidden:
        new = event.status if isinstance(event, Requested) else "scheduled" if isinstance(event, Claimed) else "running"
        assert refused(status_of(task), new, role_of(event)), "the table allows this"
        return None


def lives(task: Document, data: st.DataObject, length: int) -> list[tuple[Document, Event, Document]]:
    """Let random events happen to a task; give each that was not refused, with the task before and after it."""
    steps: list[tuple[Document, Event, Document]] = []
    started, now = None, NOW
    for _ in range(length):
        now += data.draw(st.integers(0, 100_000))
        event = data.draw(events(now, started))
        before = copy.deepcopy(task)
        after = applied(task, event, now)
        assert task == before, "the task given was changed"
        if after is not None:
            started = event if isinstance(event, Started) else started
            steps.append((task, event, after))
            task = after
    return steps


def assert_status_allowed(before: Document, event: Event, after: Document) -> None:
    assert refused(status_of(before), after["status"], role_of(event)) is None
    if isinstance(event, Requested):
        assert after["status"] == event.status


def assert_history_grows(before: Document, event: Event, after: Document) -> None:
    old, new = before.get("history") or [], after["history"]
    assert new[: len(old)] == old
    known = bool(old) and old[-1]["status"] == status_of(before)
    assert len(new) - len(old) == (1 if known else 2)
    assert all(entry["at"] and entry["status"] in STATUSES and entry["by"] for entry in new)
    assert new[-1]["status"] == after["status"]
    assert new[-1]["by"] == (event.by if isinstance(event, Requested) else event.instance)
    if not known:
        assert (new[-2]["status"], new[-2]["by"]) == (status_of(before), "document")


def assert_claim_tells_the_holder(before: Document, event: Event, after: Document) -> None:
    if not isinstance(event, Requested):
        assert ("claim" in after) == (after["status"] in HELD)
        assert "claim" not in after or after["claim"]["instance"] == event.instance
    elif event.status == "schedule" and status_of(before) in ENDED:
        assert "claim" not in after
    else:
        assert after.get("claim") == before.get("claim")


def assert_attempt_counts_up(before: Document, event: Event, after: Document) -> None:
    old, new = before.get("attempt") or 0, after.get("attempt") or 0
    if isinstance(event, Requested) and event.status == "schedule" and status_of(before) in ENDED:
        assert new == 0
    elif isinstance(event, Started):
        assert new == old + 1
    elif isinstance(event, Ended) and event.started:
        # A run that was stopped gives its number back: it is no try that failed.
        assert new - old in ((-1, 0, 1) if isinstance(event.outcome, Stopped) else (0, 1))
    else:
        assert new == old


def assert_result_only_on_done(before: Document, event: Event, after: Document) -> None:
    if after["status"] != "done":
        assert "result" not in after
    elif status_of(before) not in ENDED and not isinstance(event, Requested):
        assert isinstance(event, Ended)
        assert isinstance(event.outcome, Done)
        assert after["result"] == event.outcome.result
        assert "error" not in after


def assert_own_fields_kept(event: Event, before: Document, after: Document) -> None:
    changed = event.changes if isinstance(event, Requested) else {}
    assert {name: after[name] for name in OWN} == OWN
    assert after["retry"] == before["retry"]
    if "size" in before or "size" in changed:
        assert after["size"] == changed.get("size", before.get("size"))


def assert_can_be_stored(after: Document) -> None:
    check(after)
    assert after["type"] == "task"
    assert after["date"].endswith("Z")
    assert msgspec.json.decode(msgspec.json.encode(after)) == after


@given(tasks(), st.data(), st.integers(1, 20))
def test_whatever_happens_to_a_task(task: Document, data: st.DataObject, length: int) -> None:
    for before, event, after in lives(task, data, length):
        assert_status_allowed(before, event, after)
        assert_history_grows(before, event, after)
        assert_claim_tells_the_holder(before, event, after)
        assert_attempt_counts_up(before, event, after)
        assert_result_only_on_done(before, event, after)
        assert_own_fields_kept(event, before, after)
        assert_can_be_stored(after)


@given(tasks(), st.data(), st.integers(1, 20))
def test_every_run_has_one_number_and_tells_its_lateness_once(task: Document, data: st.DataObject, length: int) -> None:
    for before, event, after in lives(task, data, length):
        entry = after["history"][-1]
        if isinstance(event, Started):
            assert (entry["attempt"], entry["lateness_ms"]) == (after["attempt"], event.lateness)
        elif isinstance(event, Ended) and event.started:
            assert entry["duration_ms"] == event.duration
            if isinstance(event.outcome, Stopped):
                continue
            counted = after["attempt"] > (before.get("attempt") or 0)
            assert ("lateness_ms" in entry) == counted
            assert not counted or entry["attempt"] == after["attempt"]
        else:
            assert {"attempt", "lateness_ms", "duration_ms"}.isdisjoint(entry)


@given(tasks(), st.data(), st.integers(1, 20))
def test_what_a_client_asked_for_is_not_undone_by_a_worker_that_lets_go(
    task: Document, data: st.DataObject, length: int
) -> None:
    for before, event, after in lives(task, data, length):
        if isinstance(event, Released | Lost) or (isinstance(event, Ended) and isinstance(event.outcome, Stopped)):
            stands = {"cancel": "canceled", "done": "done", "err": "err", "canceled": "canceled"}
            status = stands.get(status_of(before))
            assert after["status"] == status if status else after["status"] in {"waiting", "err"}
        if isinstance(event, Ended) and status_of(before) in ENDED:
            assert after["status"] == before["status"]


@given(st.integers(0, 8), st.lists(st.booleans(), min_size=30, max_size=30), st.floats(0, 1))
@example(limit=0, written=[True] * 30, chance=0.0)
def test_retries_stop_at_the_limit(limit: int, written: list[bool], chance: float) -> None:
    """Whether or not the start of each run was written on its own."""
    retry = {"limit": limit, "interval": "PT1S", "backoff": 2, "jitter": 1}
    task, runs, now = create({"worker": "w", "job": "j", "retry": retry}, NOW), 0, NOW
    while task["status"] == "waiting":
        started, now, runs = Started("one", now, 0.0), now + 10_000, runs + 1
        task = apply(task, Claimed("one"), now)
        task = apply(task, started, now) if written[runs] else task
        task = apply(task, Ended("one", failed("Timeout", "too long"), started, 5.0, chance=chance), now)
    assert (task["status"], runs, task["attempt"]) == ("err", limit + 1, limit + 1)
    assert task["error"] == {"type": "Timeout", "message": "too long"}
