"""Scenes from the life of a task, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from after.dates import LATEST, format_instant, parse_instant
from after.errors import Forbidden, InvalidTask
from after.events import Claimed, Ended, Event, Lost, Released, Requested, Started
from after.lifecycle import apply, create
from after.outcome import Done, Failed, Stopped, failed
from after.task import Document, Failure, Retry

NOW = parse_instant("2026-12-01T09:00:00Z")
GIVEN = {"worker": "manobi", "job": "start_campaign", "date": "2026-12-01T10:00+01:00", "colour": "red"}
STARTED = Started("one", NOW + 3, 3.0)
BROKEN = Failed(Failure("ValueError", "no", "Traceback …"))


def life(task: Document, *events: Event, now: int = NOW) -> Document:
    for event in events:
        task = apply(task, event, now)
    return task


def task_of(*events: Event, **extra: Any) -> Document:
    return life(create({**GIVEN, **extra}, NOW), *events)


def statuses(task: Document) -> list[str]:
    return [entry["status"] for entry in task["history"]]


def test_a_new_task() -> None:
    assert create(GIVEN, NOW) == {
        "type": "task",
        "worker": "manobi",
        "job": "start_campaign",
        "colour": "red",
        "date": "2026-12-01T09:00:00.000Z",
        "status": "waiting",
        "history": [
            {"at": "2026-12-01T09:00:00.000Z", "status": "waiting", "by": "client", "date": "2026-12-01T09:00:00.000Z"}
        ],
    }


def test_a_new_task_without_a_date_is_due_now() -> None:
    assert create({"worker": "w", "job": "j"}, NOW)["date"] == format_instant(NOW)
    assert create({"worker": "w", "job": "j", "date": None}, NOW)["date"] == format_instant(NOW)


@pytest.mark.parametrize("status", ["reschedule", "scheduled", "running", "done", "err", "cancel", "canceled"])
def test_a_client_cannot_make_a_task_that_is_already_under_way(status: str) -> None:
    with pytest.raises(Forbidden, match=f"'{status}' is set by workers only"):
        create({**GIVEN, "status": status}, NOW)


WORKER_VALUES = {
    "claim": {"instance": "me", "at": "now"}, "attempt": 0, "runs": 1, "progress": {}, "log": [], "result": 1,
    "error": {"type": "T", "message": "m"}, "history": [],
}  # fmt: skip


@pytest.mark.parametrize("field", sorted(WORKER_VALUES))
def test_a_client_cannot_set_a_field_of_the_worker(field: str) -> None:
    with pytest.raises(Forbidden, match=f"^{field}: is set by workers only$"):
        create({**GIVEN, field: WORKER_VALUES[field]}, NOW)
    with pytest.raises(Forbidden, match=f"^{field}: is set by workers only$"):
        apply(create(GIVEN, NOW), Requested("cancel", {field: WORKER_VALUES[field]}), NOW)


def test_null_in_a_field_of_the_worker_is_the_same_as_absent() -> None:
    nothing = dict.fromkeys([*WORKER_VALUES, "type"])
    assert create({**GIVEN, **nothing}, NOW) == create(GIVEN, NOW)
    assert task_of(Requested("waiting", {"claim": None, "type": None})) == task_of(Requested("waiting", {}))


def test_a_client_may_send_back_what_it_read() -> None:
    held = task_of(Claimed("one"), STARTED)
    asked = apply(held, Requested("cancel", {**held, "colour": "blue"}), NOW)
    assert asked == {**held, "status": "cancel", "colour": "blue", "history": asked["history"]}


def test_a_bad_change_is_refused_with_the_field_named() -> None:
    with pytest.raises(InvalidTask, match=r"^date: '2026-13-01' is not an ISO 8601 date$"):
        task_of(Requested("reschedule", {"date": "2026-13-01"}))
    with pytest.raises(InvalidTask, match=r"^type: expected 'task'$"):
        task_of(Requested("reschedule", {"type": "worker"}))


def test_a_run_from_claim_to_result() -> None:
    done = task_of(Claimed("one"), STARTED, Ended("one", Done([1]), STARTED, 12.5))
    assert (done["status"], done["result"], done["attempt"]) == ("done", [1], 1)
    assert "claim" not in done
    assert [{**entry, "at": ""} for entry in done["history"][1:]] == [
        {"at": "", "status": "scheduled", "by": "one"},
        {"at": "", "status": "running", "by": "one", "attempt": 1, "lateness_ms": 3.0},
        {"at": "", "status": "done", "by": "one", "attempt": 1, "duration_ms": 12.5},
    ]
    assert done["history"][2]["at"] == format_instant(STARTED.at)


def test_a_run_whose_start_was_never_written_is_told_in_the_entry_of_its_end() -> None:
    done = task_of(Claimed("one"), Ended("one", Done(), STARTED, 12.5))
    assert done["attempt"] == 1
    assert done["history"][-1] == {
        "at": format_instant(NOW), "status": "done", "by": "one",
        "attempt": 1, "lateness_ms": 3.0, "duration_ms": 12.5,
    }  # fmt: skip


@pytest.mark.parametrize("asked", ["cancel", "reschedule", "done", "err"])
def test_a_run_is_counted_once_where_a_client_wrote_in_the_middle_of_it(asked: str) -> None:
    ended = task_of(Claimed("one"), STARTED, Requested(asked, {}), Ended("one", Stopped(), STARTED, 12.5))
    assert ended["attempt"] == 1
    assert ended["history"][-1]["attempt"] == 1
    assert "lateness_ms" not in ended["history"][-1]


def test_a_failed_run_waits_for_its_retry_and_keeps_the_error() -> None:
    retry = {"limit": 1, "interval": "PT10S"}
    waiting = task_of(Claimed("one"), STARTED, Ended("one", BROKEN, STARTED, 5.0), retry=retry)
    assert (waiting["status"], waiting["date"]) == ("waiting", "2026-12-01T09:00:10.000Z")
    assert waiting["error"] == {"type": "ValueError", "message": "no", "traceback": "Traceback …"}
    assert waiting["history"][-1]["error"] == {"type": "ValueError", "message": "no"}
    assert waiting["history"][-1]["date"] == waiting["date"]
    assert "claim" not in waiting
    done = life(waiting, Claimed("two"), Ended("two", Done(), Started("two", NOW + 10_000, 0.0)))
    assert (done["status"], done["attempt"]) == ("done", 2)
    assert "error" not in done


def test_a_retry_stays_within_the_years_that_can_be_written() -> None:
    retry = {"limit": 1, "interval": "P3650000D", "max": "P3650000D"}
    waiting = task_of(Claimed("one"), Ended("one", BROKEN, STARTED), retry=retry)
    assert waiting["date"] == format_instant(LATEST)


@pytest.mark.parametrize(
    "end",
    [
        Ended("one", failed("ResultNotJSON", "a set", final=True), STARTED),
        Ended("one", failed("Expired", "too late")),
    ],
    ids=["final", "no run"],
)
def test_what_no_retry_helps_is_not_retried(end: Ended) -> None:
    assert task_of(Claimed("one"), end, retry={"limit": 5})["status"] == "err"


def test_progress_and_log_belong_to_the_current_run() -> None:
    waiting = {**create(GIVEN, NOW), "progress": {"fraction": 1}, "log": ["old"]}
    for event in (STARTED, Ended("one", Done(), STARTED)):
        assert {"progress", "log"}.isdisjoint(life(waiting, Claimed("one"), event))
    running = {**life(waiting, Claimed("one"), STARTED), "log": ["new"]}
    assert apply(running, Ended("one", Done(), STARTED), NOW)["log"] == ["new"]


def test_a_task_started_without_a_claim_is_held_by_who_started_it() -> None:
    assert task_of(STARTED)["claim"] == {"instance": "one", "at": format_instant(STARTED.at)}
    taken = task_of(Claimed("two"), STARTED)
    assert taken["claim"]["instance"] == "one"


@pytest.mark.parametrize("event", [Claimed("one"), STARTED])
@pytest.mark.parametrize("asked", ["cancel", "done", "err"])
def test_what_was_stopped_is_not_taken(event: Event, asked: str) -> None:
    with pytest.raises(Forbidden, match=f"^status: '{asked}' cannot become '(scheduled|running)'$"):
        task_of(Requested(asked, {}), event)


@pytest.mark.parametrize("end", [Ended("one", Stopped(), STARTED), Released("one"), Lost("two", "one")])
def test_a_cancel_of_a_held_task_ends_as_canceled(end: Event) -> None:
    canceled = task_of(Claimed("one"), STARTED, Requested("cancel", {}), end, retry={"limit": 9, "on_lost": False})
    assert canceled["status"] == "canceled"
    assert "claim" not in canceled


def test_a_cancel_that_comes_too_late_is_answered_by_the_truth() -> None:
    done = task_of(Claimed("one"), STARTED, Requested("cancel", {}), Ended("one", Done(7), STARTED))
    assert (done["status"], done["result"]) == ("done", 7)
    failed_anyway = task_of(Claimed("one"), Requested("cancel", {}), Ended("one", BROKEN, STARTED), retry={"limit": 9})
    assert failed_anyway["status"] == "err"


@pytest.mark.parametrize("asked", ["done", "err"])
@pytest.mark.parametrize("outcome", [Done(1), BROKEN, Stopped()])
def test_a_task_completed_from_outside_stays_so(asked: str, outcome: Any) -> None:
    asked_of = task_of(Claimed("one"), STARTED, Requested(asked, {}))
    assert "claim" in asked_of
    ended = apply(asked_of, Ended("one", outcome, STARTED), NOW)
    assert ended["status"] == asked
    assert {"claim", "result"}.isdisjoint(ended)
    assert ended["history"][-1]["note"] == f"a run ended meanwhile: {type(outcome).__name__.lower()}"


def test_a_task_asked_for_anew_waits_for_its_new_run() -> None:
    change = Requested("reschedule", {"date": "2026-12-02"})
    waiting = task_of(Claimed("one"), STARTED, change, Ended("one", Done(1), STARTED))
    assert (waiting["status"], waiting["date"]) == ("waiting", "2026-12-02T00:00:00.000Z")
    assert {"claim", "result"}.isdisjoint(waiting)
    assert waiting["history"][-1]["note"] == "a run ended meanwhile: done"


def test_a_request_that_cannot_be_met_is_err_not_a_run_that_ended() -> None:
    ended = task_of(Ended("one", failed("JobError", "unknown job", final=True)), status="schedule")
    assert statuses(ended) == ["schedule", "err"]


def test_schedule_is_the_way_back() -> None:
    ended = task_of(Claimed("one"), Ended("one", Done(1), STARTED))
    again = apply(ended, Requested("schedule", {}, "eve"), NOW + 60_000)
    assert (again["status"], again["attempt"], again["date"]) == ("schedule", 0, "2026-12-01T09:01:00.000Z")
    assert {"result", "error", "progress", "log", "claim"}.isdisjoint(again)
    assert again["history"][-1]["by"] == "eve"
    assert apply(ended, Requested("schedule", {"date": "2027-01-01"}), NOW)["date"] == "2027-01-01T00:00:00.000Z"


@pytest.mark.parametrize(("events", "word"), [([STARTED], "while it ran"), ([], "it may have begun")])
def test_a_lost_task_goes_back_or_is_err_where_it_may_run_once_only(events: list[Event], word: str) -> None:
    lost = [Claimed("one"), *events, Lost("two", "one")]
    back = task_of(*lost)
    assert back["status"] == "waiting"
    assert word in back["history"][-1]["note"]
    ended = task_of(*lost, retry={"limit": 9, "on_lost": False})
    assert (ended["status"], ended["error"]["type"]) == ("err", "Lost")
    assert "one" in ended["error"]["message"]
    assert "claim" not in back
    assert "claim" not in ended


def test_the_first_entry_of_a_raw_document_is_its_own() -> None:
    claimed = apply({"worker": "w", "job": "j"}, Claimed("one"), NOW)
    assert (claimed["type"], claimed["date"]) == ("task", format_instant(NOW))
    assert [(entry["status"], entry["by"]) for entry in claimed["history"]] == [
        ("waiting", "document"),
        ("scheduled", "one"),
    ]


def test_a_change_that_went_round_the_interface_gets_its_entry() -> None:
    raw = {**task_of(Claimed("one")), "status": "cancel"}
    assert statuses(apply(raw, Released("one"), NOW)) == ["waiting", "scheduled", "cancel", "canceled"]


@pytest.mark.parametrize(
    "bad",
    [{"date": "soon"}, {"date": 5}, {"retry": {"limit": "x"}}, {"history": "x"}, {"history": [1]}, {"attempt": "x"}],
    ids=repr,
)
def test_a_document_that_cannot_be_read_can_still_be_ended(bad: Document) -> None:
    ended = apply({"worker": "w", "job": "j", **bad}, Ended("one", failed("InvalidTask", "bad", final=True)), NOW)
    assert (ended["status"], ended["error"]["type"]) == ("err", "InvalidTask")
    assert statuses(ended) == ["waiting", "err"]


@pytest.mark.parametrize("policy", [5, {"limit": "x"}, {"limit": 3, "interval": "soon"}], ids=repr)
def test_a_retry_spoiled_while_the_task_ran_retries_nothing(policy: object) -> None:
    spoiled = {**task_of(Claimed("one"), STARTED), "retry": policy}
    assert apply(spoiled, Ended("one", BROKEN, STARTED), NOW)["status"] == "err"
    assert apply(spoiled, Lost("two", "one"), NOW)["status"] == "waiting"


def test_the_policy_of_the_job_is_for_tasks_that_have_none() -> None:
    of_job = Retry(limit=1, interval="PT5S", on_lost=False)
    end, lost = Ended("one", BROKEN, STARTED, policy=of_job), Lost("two", "one", of_job)
    assert task_of(Claimed("one"), end)["date"] == "2026-12-01T09:00:05.000Z"
    assert task_of(Claimed("one"), lost)["status"] == "err"
    assert task_of(Claimed("one"), end, retry={"limit": 0})["status"] == "err"
    assert task_of(Claimed("one"), lost, retry={"limit": 0})["status"] == "waiting"


def test_a_running_task_without_its_history_has_its_run_counted_already() -> None:
    raw = {"worker": "w", "job": "j", "status": "running", "attempt": 2}
    done = apply(raw, Ended("one", Done(), STARTED, 5.0), NOW)
    assert (done["attempt"], done["history"][-1]["attempt"]) == (2, 2)


def test_a_second_run_that_ends_after_the_task_is_done_leaves_the_result_and_is_told() -> None:
    done = task_of(Claimed("one"), Ended("one", Done("first"), STARTED))
    late = apply(done, Ended("two", Done("second"), Started("two", NOW, 9.0), 5.0), NOW)
    assert (late["status"], late["result"], late["attempt"]) == ("done", "first", 2)
    assert late["history"][-1]["by"] == "two"
    assert late["history"][-1]["lateness_ms"] == 9.0


def test_a_run_that_its_worker_had_to_stop_does_not_count_against_the_limit() -> None:
    task = apply(create({"worker": "w", "job": "j", "retry": {"limit": 1}}, NOW), Claimed("one"), NOW)
    started = Started("one", NOW, 0.0)
    task = apply(apply(task, started, NOW), Ended("one", Stopped("its worker was stopped"), started, 5.0), NOW)
    assert (task["status"], task["attempt"]) == ("waiting", 0)
    task = apply(task, Claimed("two"), NOW)
    task = apply(task, Ended("two", failed("Boom", "no"), Started("two", NOW, 0.0), 5.0), NOW)
    assert (task["status"], task["attempt"]) == ("waiting", 1)
