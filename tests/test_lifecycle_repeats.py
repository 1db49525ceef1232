"""Scenes from the life of a task that repeats: what its runs make of it, and what its history says of them."""

from __future__ import annotations

from typing import Any

import pytest

from after.dates import DAY, HOUR, MINUTE, format_instant, parse_instant
from after.errors import InvalidTask
from after.events import Claimed, Ended, Event, Finished, Lost, Released, Requested, Started
from after.lifecycle import apply, create
from after.outcome import Done, Failed, Stopped, failed
from after.repeating import Next, Over, found
from after.task import Document, Failure, Retry, check

NINE = parse_instant("2026-12-01T09:00:00Z")
DAILY = {"interval": "P1D"}
BROKEN = Failed(Failure("ValueError", "no", "Traceback …"))


def task_of(repeat: Any = DAILY, **extra: Any) -> Document:
    given = {"worker": "manobi", "job": "start_campaign", "date": format_instant(NINE), "repeat": repeat, **extra}
    return {"_id": "t", "_rev": "1-a", **create(given, NINE - HOUR)}


def run(task: Document, at: int, outcome: Any = None, took: int = 5, **options: Any) -> Document:
    """Claim a task, run it at an instant, and end it `took` ms later."""
    task = apply(task, Claimed("one"), at)
    return end(task, at, outcome, took, **options)


def end(task: Document, at: int, outcome: Any = None, took: int = 5, **options: Any) -> Document:
    started = Started("one", at, float(at - parse_instant(task["date"])))
    return apply(task, Ended("one", outcome or Done(7), started, float(took), **options), at + took)


def life(task: Document, *events: tuple[int, Event]) -> Document:
    for at, event in events:
        task = apply(task, event, at)
    return task


def test_a_run_and_the_next_occurrence_are_one_step() -> None:
    task = run(task_of(), NINE)
    check(task)
    assert task["status"] == "waiting"
    assert task["date"] == "2026-12-02T09:00:00.000Z"
    assert task["occurrence"] == {
        "start": "2026-12-01T09:00:00.000Z", "date": "2026-12-02T09:00:00.000Z", "number": 2
    }  # fmt: skip
    assert (task["runs"], task["attempt"], task["result"]) == (1, 0, 7)
    assert "claim" not in task
    assert task["history"][-1] == {
        "at": "2026-12-01T09:00:00.005Z", "status": "done", "by": "one", "attempt": 1,
        "date": "2026-12-01T09:00:00.000Z", "lateness_ms": 0.0, "duration_ms": 5.0, "next": "2026-12-02T09:00:00.000Z",
    }  # fmt: skip


def test_the_next_claim_adds_no_entry_of_somebody_unknown() -> None:
    task = apply(run(task_of(), NINE), Claimed("two"), NINE + DAY)
    assert [(one["status"], one["by"]) for one in task["history"]] == [
        ("waiting", "client"), ("scheduled", "one"), ("done", "one"), ("scheduled", "two"),
    ]  # fmt: skip


def test_a_near_occurrence_stays_with_its_worker() -> None:
    task = run(task_of({"interval": "PT1S"}), NINE, keep=NINE + 10_000)
    assert (task["status"], task["date"]) == ("scheduled", "2026-12-01T09:00:01.000Z")
    assert task["claim"]["instance"] == "one"
    far = run(task_of({"interval": "PT11S"}), NINE, keep=NINE + 10_000)
    assert (far["status"], "claim" in far) == ("waiting", False)


def test_a_failed_run_does_not_end_the_series() -> None:
    task = run(task_of(), NINE, BROKEN)
    assert (task["status"], task["date"]) == ("waiting", "2026-12-02T09:00:00.000Z")
    assert task["error"]["type"] == "ValueError"
    entry = task["history"][-1]
    assert (entry["status"], entry["error"]["message"], entry["next"]) == ("err", "no", task["date"])
    assert "error" not in run(task, NINE + DAY), "a run that is done says so"


def test_a_retry_keeps_the_occurrence() -> None:
    task = run(task_of(retry={"limit": 1, "interval": "PT10M"}), NINE, BROKEN)
    assert (task["status"], task["date"]) == ("waiting", "2026-12-01T09:10:00.005Z")
    assert task["occurrence"]["date"] == "2026-12-01T09:00:00.000Z"
    task = run(task, NINE + 10 * MINUTE + 5)
    assert (task["date"], task["runs"]) == ("2026-12-02T09:00:00.000Z", 1)
    assert task["history"][-1]["date"] == "2026-12-01T09:00:00.000Z"
    assert task["history"][-1]["attempt"] == 2


def test_a_retry_waits_as_long_as_it_was_asked_to() -> None:
    wait = Failed(Failure("HTTPStatus", "503"), wait=90_000)
    policy = Retry(limit=1, interval="PT1S")
    assert run(task_of(), NINE, wait, took=0, policy=policy)["date"] == "2026-12-01T09:01:30.000Z"


@pytest.mark.parametrize("kind", ["InvalidTask", "DependencyFailed"])
def test_what_never_can_begin_ends_the_series(kind: str) -> None:
    task = apply(task_of(), Ended("one", failed(kind, "x", final=True)), NINE)
    assert task["status"] == "err"
    assert "next" not in task["history"][-1]


def test_an_unknown_job_may_be_known_the_next_time() -> None:
    task = apply(task_of(), Ended("one", failed("UnknownJob", "x", final=True)), NINE)
    assert (task["status"], task["date"]) == ("waiting", "2026-12-02T09:00:00.000Z")
    assert task["runs"] == 0, "what did not run is no run"


def test_the_limit_counts_runs() -> None:
    task = run(run(task_of({"interval": "P1D", "limit": 2}), NINE), NINE + DAY)
    assert (task["status"], task["runs"]) == ("done", 2)
    assert task["history"][-1]["note"] == "the last of 2 runs"
    assert "next" not in task["history"][-1]


def test_the_series_ends_at_until() -> None:
    task = task_of({"interval": "P1D", "until": "2026-12-02T09:00:00Z"})
    task = run(task, NINE)
    assert task["status"] == "waiting", "`until` is within the series"
    task = run(task, NINE + DAY, BROKEN)
    assert task["status"] == "err", "the last run says how it ended"
    assert task["history"][-1]["note"] == "the last occurrence"


def test_the_form_of_iso_8601() -> None:
    task = task_of("R2/2026-12-01T09:00:00Z/PT1H")
    task = run(run(task, NINE), NINE + HOUR)
    assert (task["status"], task["runs"]) == ("done", 2)


def test_a_new_cron_task_says_when_it_runs_first() -> None:
    given = {"worker": "w", "job": "j", "repeat": {"cron": "30 9 * * *"}}
    assert create(given, NINE)["date"] == "2026-12-01T09:30:00.000Z"
    assert create({**given, "date": "2026-12-05"}, NINE)["date"] == "2026-12-05T09:30:00.000Z"
    with pytest.raises(InvalidTask, match="repeat: has no occurrence"):
        create({**given, "repeat": {"cron": "30 9 * * *", "until": "2026-11-30"}}, NINE)


def test_a_task_that_was_written_raw_is_moved_to_its_first_occurrence() -> None:
    raw = {**task_of({"cron": "30 9 * * *"}), "date": format_instant(NINE)}
    task = apply(raw, Released("one"), NINE)
    assert (task["status"], task["date"]) == ("waiting", "2026-12-01T09:30:00.000Z")
    assert task["history"][-1]["note"] == "moved to its first occurrence"
    assert found(task, NINE) is None, "once is enough"


MISSED = NINE + 3 * DAY - 12 * HOUR  # of 09:00 on the 1st, 2nd and 3rd, nobody was there


def test_one_run_stands_for_all_that_were_missed() -> None:
    task = apply(task_of(), Claimed("one"), MISSED)
    assert (task["status"], task["date"]) == ("scheduled", "2026-12-03T09:00:00.000Z")
    entry = task["history"][-1]
    assert entry["missed"] == {"first": "2026-12-01T09:00:00.000Z", "last": "2026-12-02T09:00:00.000Z", "count": 2}
    assert entry["note"] == "2 occurrences were missed while no worker was there; one run stands for all (catch_up one)"
    task = end(task, MISSED)
    assert task["date"] == "2026-12-04T09:00:00.000Z"
    assert (task["occurrence"]["number"], task["runs"]) == (4, 1)


def test_all_that_were_missed_are_run_oldest_first() -> None:
    task, dates = task_of({**DAILY, "catch_up": "all"}), []
    for n in range(3):
        task = run(task, MISSED + n * 10)
        dates.append(task["history"][-1]["date"][:10])
    assert dates == ["2026-12-01", "2026-12-02", "2026-12-03"]
    assert (task["date"], task["runs"]) == ("2026-12-04T09:00:00.000Z", 3)
    assert not any("missed" in entry for entry in task["history"])


def test_no_more_are_made_up_for_than_catch_up_limit() -> None:
    task = apply(task_of({**DAILY, "catch_up": "all", "catch_up_limit": 2}), Claimed("one"), MISSED)
    assert task["date"] == "2026-12-02T09:00:00.000Z"
    assert task["history"][-1]["missed"]["count"] == 1
    assert "more than catch_up_limit" in task["history"][-1]["note"]


def test_none_that_were_missed_are_run() -> None:
    task = apply(task_of({**DAILY, "catch_up": "none"}), Released("one"), MISSED)
    assert (task["status"], task["date"]) == ("waiting", "2026-12-04T09:00:00.000Z")
    assert task["history"][-1]["missed"]["count"] == 3
    assert task["occurrence"]["number"] == 4


def test_a_series_whose_every_occurrence_was_missed_says_so() -> None:
    task = task_of({**DAILY, "catch_up": "none", "until": "2026-12-02T10:00Z"})
    assert isinstance(found(task, MISSED), Over)
    task = apply(task, Finished("one"), MISSED)
    assert (task["status"], task["error"]["type"]) == ("err", "Missed")
    assert task["history"][-1]["missed"]["count"] == 2


def test_what_comes_due_during_a_run_is_held_back() -> None:
    task = apply(task_of({"interval": "PT1M"}), Claimed("one"), NINE)
    task = end(task, NINE, took=3 * MINUTE + 30_000)
    assert task["date"] == "2026-12-01T09:03:00.000Z", "one run stands for those of 09:01, 09:02 and 09:03"
    entry = task["history"][-1]
    assert entry["missed"] == {"first": "2026-12-01T09:01:00.000Z", "last": "2026-12-01T09:02:00.000Z", "count": 2}
    assert "while the run before still went on" in entry["note"]


def test_a_lost_run_is_made_up_for_whatever_was_missed() -> None:
    task = apply(task_of({**DAILY, "catch_up": "none"}), Claimed("one"), NINE)
    task = life(task, (NINE, Started("one", NINE, 0.0)), (NINE + DAY, Lost("two", "one")))
    assert (task["status"], task["date"], task["attempt"]) == ("waiting", format_instant(NINE), 1)
    assert found(task, NINE + DAY) is None


def test_a_run_that_may_not_be_made_up_for_does_not_end_the_series() -> None:
    task = apply(task_of(retry={"on_lost": False}), Claimed("one"), NINE)
    task = life(task, (NINE, Started("one", NINE, 0.0)), (NINE + HOUR, Lost("two", "one")))
    assert (task["status"], task["date"], task["error"]["type"]) == ("waiting", "2026-12-02T09:00:00.000Z", "Lost")
    assert task["runs"] == 1


def test_a_cancel_ends_the_series_also_where_it_comes_too_late_for_the_run() -> None:
    task = apply(task_of(), Claimed("one"), NINE)
    stopped = life(task, (NINE, Requested("cancel", {})), (NINE, Ended("one", Stopped())))
    assert stopped["status"] == "canceled"
    late = end(apply(task, Requested("cancel", {}), NINE), NINE)
    assert (late["status"], late["result"]) == ("canceled", 7)
    assert [entry["status"] for entry in late["history"][-2:]] == ["done", "canceled"]


def test_a_client_moves_the_next_run_to_a_date_of_its_own() -> None:
    task = apply(task_of({"cron": "0 9 * * *"}), Requested("reschedule", {"date": "2026-12-01T11:00Z"}), NINE)
    assert found(task, NINE) is None, "it is run then, although cron says nothing of eleven"
    assert run(task, NINE + 2 * HOUR)["date"] == "2026-12-02T09:00:00.000Z"
    task = apply(task_of(), Requested("reschedule", {"date": "2026-12-01T11:00Z"}), NINE)
    assert run(task, NINE + 2 * HOUR)["date"] == "2026-12-02T11:00:00.000Z", "an interval is counted from there"


def test_a_client_changes_how_it_repeats() -> None:
    task = apply(run(task_of(), NINE), Requested("reschedule", {"repeat": {"cron": "0 10 * * *"}}), NINE + HOUR)
    assert "occurrence" not in task
    moved = found(task, NINE + HOUR)
    assert isinstance(moved, Next)
    assert moved.date == "2026-12-02T10:00:00.000Z"


@pytest.mark.parametrize(
    ("repeat", "field"),
    [({"rrule": "FREQ=DAILY;BYFOO=1"}, "repeat.rrule"), ({"every": "PT1S"}, "repeat"), (5, "repeat")],
)
def test_a_repeat_that_a_client_has_broken_during_a_run_ends_the_series(repeat: Any, field: str) -> None:
    """Not all engines can check all of it when it is written."""
    task = {**apply(task_of(), Claimed("one"), NINE), "repeat": repeat}
    over = end(task, NINE, keep=NINE + 2 * DAY)
    assert (over["status"], over["runs"], over["result"], over["repeat"]) == ("err", 1, 7, repeat)
    assert over["error"]["type"] == "InvalidTask"
    assert over["error"]["message"].startswith(f"{field}: ")
    assert "claim" not in over
    done, err = over["history"][-2:]
    assert (done["status"], done["duration_ms"], err["status"], err["error"]) == ("done", 5.0, "err", over["error"])
    assert end(over, NINE)["status"] == "err", "another run that has ended changes nothing"


def test_again_begins_the_series_anew() -> None:
    task = run(run(task_of({"interval": "P1D", "limit": 2}), NINE), NINE + DAY)
    task = apply(task, Requested("schedule", {}), NINE + 2 * DAY)
    assert not {"runs", "occurrence", "result"} & task.keys()
    assert run(task, NINE + 2 * DAY)["status"] == "waiting"


def test_jitter_delays_each_run_by_its_own_part() -> None:
    task, delays = task_of({"interval": "P1D", "jitter": "PT1H"}), set()
    at = NINE
    for n in range(5):
        claimed = apply(task, Claimed("one"), at)
        date = parse_instant(claimed["date"])
        assert parse_instant(claimed["occurrence"]["date"]) == NINE + n * DAY
        assert 0 <= date - (NINE + n * DAY) < HOUR
        delays.add(date - (NINE + n * DAY))
        task = end(claimed, date)
        assert "missed" not in task["history"][-1]
        at = parse_instant(task["date"])
    assert len(delays) == 5


def test_what_the_clocks_did_stands_in_the_history() -> None:
    repeat = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst": {"gap": "skip"}}
    task = {"_id": "t", "_rev": "1-a", **create(
        {"worker": "w", "job": "j", "date": "2026-03-28T00:00Z", "repeat": repeat}, parse_instant("2026-03-27")
    )}  # fmt: skip
    task = run(task, parse_instant("2026-03-28T01:30Z"))
    assert task["date"] == "2026-03-30T00:30:00.000Z"
    assert "does not exist in Europe/Berlin" in task["history"][-1]["note"]
