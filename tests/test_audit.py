"""What was due, and what became of it: told by histories that the rules of a task's life have made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from engines import url  # noqa: F401 - a fixture
from rest import refused
from working import SECONDS, working

from after.audit import Row, Summary, audit
from after.client import Client
from after.clock import SystemClock, now
from after.database import Database
from after.dates import DAY, HOUR, MINUTE, SECOND, format_instant, parse_instant
from after.events import Claimed, Ended, Event, Finished, Freed, Lost, Released, Requested, Started
from after.history import ARCHIVED, archive_id
from after.lifecycle import apply, create
from after.outcome import Done, Failed, Stopped, failed
from after.task import Document, Failure

if TYPE_CHECKING:
    from serving import Client as Http
    from serving import Server

NINE = parse_instant("2026-12-01T09:00:00Z")
BEFORE, LATER = NINE - HOUR, NINE + HOUR
BROKEN = Failed(Failure("ValueError", "no", "Traceback …"))
RETRY = {"limit": 3, "interval": "PT20S"}


def made(put: int = NINE - DAY, **fields: Any) -> Document:
    given = {"worker": "manobi", "job": {"name": "nothing"}, "date": format_instant(NINE), **fields}
    return {"_id": "t", "_rev": "1-a", **create(given, put)}


def life(task: Document, *events: tuple[int, Event]) -> Document:
    for at, event in events:
        task = apply(task, event, at)
    return task


def run(task: Document, at: int, outcome: Any = None, took: int = 5, claimed: int | None = None) -> Document:
    """Claim a task, run it at an instant, and end it `took` ms later."""
    if task["status"] != "scheduled":
        task = apply(task, Claimed("w1"), at if claimed is None else claimed)
    started = Started("w1", at, float(at - parse_instant(task["date"])))
    if took > SECOND:  # a short run has no entry of its own
        task = apply(task, started, at)
    return apply(task, Ended("w1", outcome or Done(), started, float(took)), at + took)


def rows(task: Document, low: int = NINE - DAY, high: int = NINE + DAY, at: int = LATER) -> list[tuple[Any, ...]]:
    return [(row.date[11:19], row.outcome, row.why) for row in audit(task, low, high, at)]


class TestOneTask:
    def only(self, task: Document, at: int = LATER) -> Row:
        (row,) = audit(task, BEFORE, LATER, at)
        return row

    def test_on_time(self) -> None:
        row = self.only(run(made(), NINE + 2, claimed=NINE - 9_000))
        assert row == Row(
            id="t", worker="manobi", job="nothing", date="2026-12-01T09:00:00.000Z", outcome="on_time", status="done",
            started="2026-12-01T09:00:00.002Z", lateness_ms=2.0, duration_ms=5.0, attempts=1,
        )  # fmt: skip

    @pytest.mark.parametrize(("late", "outcome"), [(1_000, "on_time"), (1_001, "late")])
    def test_late_is_more_than_a_second(self, late: int, outcome: str) -> None:
        assert self.only(run(made(), NINE + late, claimed=NINE - 9_000)).outcome == outcome
        (row,) = audit(run(made(), NINE + late, claimed=NINE - 9_000), BEFORE, LATER, LATER, tolerance=2_000)
        assert row.outcome == "on_time"

    def test_late_because_its_worker_was_not_there(self) -> None:
        row = self.only(run(made(), NINE + 10 * MINUTE + 1, claimed=NINE + 10 * MINUTE))
        assert (row.outcome, row.lateness_ms) == ("late", 600_001.0)
        assert row.why == "its worker was not there, or had no room, until 2026-12-01T09:10:00.000Z"

    def test_late_because_its_worker_was_busy(self) -> None:
        for took in (5, 5_000):
            row = self.only(run(made(), NINE + 4_000, took=took, claimed=NINE - 9_000))
            assert (row.outcome, row.why) == ("late", "it waited for a place: the worker was busy")
            assert row.lateness_ms == 4_000

    def test_late_because_it_was_put_late(self) -> None:
        row = self.only(run(made(put=NINE + MINUTE), NINE + MINUTE + 10))
        assert row.why == "it was put after its date, at 2026-12-01T09:01:00.000Z"

    def test_late_because_it_waited_for_others(self) -> None:
        task = life(made(after=["a", "b", "c", "d"]), (NINE + MINUTE, Freed("w2")))
        row = self.only(run(task, NINE + MINUTE + 50))
        assert (row.outcome, row.why) == ("late", "waited for 'a', 'b', 'c' and 1 more")

    def test_late_because_of_its_key(self) -> None:
        row = self.only(run(made(key="shop"), NINE + MINUTE, claimed=NINE + MINUTE - 1))
        assert row.why == "it waited for others of the key 'shop', or for its worker, until 2026-12-01T09:00:59.999Z"

    def test_late_because_it_was_tried_again(self) -> None:
        task = run(made(retry=RETRY), NINE + 2, BROKEN, claimed=NINE - 9_000)
        assert rows(task)[0][1:] == ("pending", "tried again after ValueError: no")
        row = self.only(run(task, NINE + 20_010))
        assert (row.outcome, row.attempts, row.lateness_ms) == ("late", 2, 20_010.0)
        assert row.why == "tried again after ValueError: no"

    def test_late_because_its_worker_died(self) -> None:
        task = life(made(), (NINE - 9_000, Claimed("w1")), (NINE + 1, Started("w1", NINE + 1, 1.0)))
        assert self.only(task).outcome == "running"
        task = life(task, (NINE + 15_000, Lost("w2", "w1")))
        row = self.only(run(task, NINE + 15_100))
        assert (row.outcome, row.attempts, row.lateness_ms) == ("late", 2, 15_100.0)
        assert row.why == "its worker w1 died while it ran"

    def test_failed(self) -> None:
        row = self.only(run(made(), NINE + 2, BROKEN, claimed=NINE - 9_000))
        assert (row.outcome, row.status, row.why, row.lateness_ms) == ("failed", "err", "ValueError: no", 2.0)

    def test_what_expired_is_missed(self) -> None:
        error = failed("Expired", "it was 600 s late", final=True)
        task = life(made(expires="PT5M"), (NINE + 10 * MINUTE, Claimed("w1")), (NINE + 10 * MINUTE, Ended("w1", error)))
        row = self.only(task)
        assert (row.outcome, row.status, row.why) == ("missed", "err", "Expired: it was 600 s late")

    def test_canceled(self) -> None:
        task = life(made(), (BEFORE, Requested("cancel", {}, "ana")), (BEFORE + 5, Released("w1")))
        assert (self.only(task).outcome, self.only(task).why) == ("canceled", "canceled by ana")
        asked = life(made(), (BEFORE, Requested("cancel", {}, "ana")))
        assert (self.only(asked).outcome, self.only(asked).why) == ("pending", "canceled by ana")

    def test_settled_from_outside(self) -> None:
        row = self.only(life(made(), (BEFORE, Requested("done", {}, "ana"))))
        assert (row.outcome, row.why) == ("on_time", "set to done by ana")
        row = self.only(life(made(), (NINE + MINUTE, Requested("err", {}, "ana"))))
        assert (row.outcome, row.why) == ("failed", "set by ana")

    def test_pending(self) -> None:
        assert self.only(made(), NINE - 1).why is None
        assert self.only(made(), NINE + 1).why == "its worker has not taken it yet"
        assert self.only(life(made(), (NINE - 5, Claimed("w1"))), NINE + 1).why == (
            "it waits for a place: the worker is busy"
        )
        assert self.only(made(after=["a"]), NINE + 1).why == "waits for 'a'"

    def test_moved_before_its_date_it_was_due_at_the_new_one_only(self) -> None:
        task = life(made(), (BEFORE, Requested("reschedule", {"date": format_instant(NINE + MINUTE)}, "ana")))
        task = run(task, NINE + MINUTE + 2, claimed=NINE)
        assert rows(task) == [("09:01:00", "on_time", "rescheduled from 2026-12-01T09:00:00.000Z by ana")]

    def test_moved_after_its_date_it_was_missed_at_the_old_one(self) -> None:
        moved = Requested("reschedule", {"date": format_instant(NINE + 2 * HOUR)}, "ana")
        overdue = life(made(), (NINE + MINUTE, moved))
        assert rows(overdue)[0] == (
            "09:00:00", "missed",
            "at 2026-12-01T09:01:00.000Z, before it had begun, it was moved to 2026-12-01T11:00:00.000Z",
        )  # fmt: skip
        held = life(made(), (NINE - 5, Claimed("w1")), (NINE, Started("w1", NINE, 0.0)))
        running = life(
            held, (NINE + MINUTE, moved), (NINE + MINUTE + 1, Ended("w1", Stopped(), Started("w1", NINE, 0.0)))
        )
        assert [row[:2] for row in rows(running)] == [("09:00:00", "canceled"), ("11:00:00", "pending")]

    def test_run_once_more_it_was_due_twice(self) -> None:
        task = run(made(), NINE + 2, BROKEN, claimed=NINE - 9_000)
        task = life(task, (NINE + MINUTE, Requested("schedule", {}, "ana")))
        task = run(task, NINE + MINUTE + 3)
        assert rows(task) == [
            ("09:00:00", "failed", "ValueError: no"),
            ("09:01:00", "on_time", "asked for once more by ana"),
        ]

    def test_a_document_without_a_history_tells_where_it_stands(self) -> None:
        task = {"_id": "t", "worker": "manobi", "job": "x", "date": "2026-12-01T09:00:00Z"}
        assert rows(task) == [("09:00:00", "pending", "its worker has not taken it yet")]
        strange = {**task, "history": [7, {"at": 3}, {"at": "soon"}, {}], "repeat": {"cron": "nonsense"}}
        assert [row[1] for row in rows(strange)] == ["pending"]

    def test_what_was_due_at_another_time_is_left_out(self) -> None:
        task = run(made(), NINE + 2, claimed=NINE - 9_000)
        assert rows(task, NINE + 1) == []
        assert rows(task, high=NINE) == []
        assert len(rows(task, NINE, NINE + 1)) == 1


HOURLY = {"interval": "PT1H"}


class TestASeries:
    def down(self, catch_up: str, **repeat: Any) -> Document:
        """A task whose worker comes four hours and a half late."""
        task = made(repeat={**HOURLY, "catch_up": catch_up, **repeat})
        return apply(task, Claimed("w1"), NINE + 4 * HOUR + 30 * MINUTE)

    def at(self) -> int:
        return NINE + 4 * HOUR + 30 * MINUTE

    def test_one_run_for_all_that_were_missed(self) -> None:
        found = rows(run(self.down("one"), self.at()), high=NINE + 6 * HOUR, at=self.at() + MINUTE)
        why = "4 occurrences were missed while no worker was there; one run stands for all (catch_up one)"
        assert found[:4] == [(f"{hour:02}:00:00", "missed", why) for hour in (9, 10, 11, 12)]
        assert found[4] == (
            "13:00:00", "late", "its worker was not there, or had no room, until 2026-12-01T13:30:00.000Z"
        )  # fmt: skip
        assert found[5:] == [("14:00:00", "pending", None)]

    def test_all_that_were_missed_are_run(self) -> None:
        task = self.down("all")
        for number in range(5):
            task = run(task, self.at() + 10 * number)
        found = rows(task, high=NINE + 6 * HOUR, at=self.at() + MINUTE)
        why = "its worker was not there, or had no room, until 2026-12-01T13:30:00.000Z"
        assert found[:5] == [(f"{hour:02}:00:00", "late", why) for hour in (9, 10, 11, 12, 13)]
        assert found[5:] == [("14:00:00", "pending", None)]

    def test_none_that_were_missed_are_run(self) -> None:
        found = rows(self.down("none"), high=NINE + 6 * HOUR, at=self.at() + MINUTE)
        assert [row[:2] for row in found] == [
            *[(f"{hour:02}:00:00", "missed") for hour in (9, 10, 11, 12, 13)], ("14:00:00", "pending"),
        ]  # fmt: skip

    def test_while_it_is_down_all_of_them_are_pending(self) -> None:
        found = rows(made(repeat=HOURLY), high=NINE + 4 * HOUR, at=NINE + 2 * HOUR)
        late = "the one before has not run yet"
        assert found == [
            ("09:00:00", "pending", "its worker has not taken it yet"), ("10:00:00", "pending", late),
            ("11:00:00", "pending", late), ("12:00:00", "pending", None),
        ]  # fmt: skip

    def test_a_long_run_holds_the_next_back(self) -> None:
        task = apply(made(repeat={**HOURLY, "catch_up": "all"}), Claimed("w1"), NINE - 5)
        started = Started("w1", NINE, 0.0)
        task = apply(task, started, NINE)
        assert rows(task, high=NINE + 2 * HOUR, at=NINE + 90 * MINUTE)[1] == (
            "10:00:00", "pending", "the run before goes on"
        )  # fmt: skip
        task = apply(task, Ended("w1", Done(), started, 90.0 * MINUTE), NINE + 90 * MINUTE)
        found = rows(run(task, NINE + 90 * MINUTE + 5), high=NINE + 2 * HOUR)
        assert found[0] == ("09:00:00", "on_time", None)
        assert found[1] == ("10:00:00", "late", "held back by the run before, until 2026-12-01T10:30:00.000Z")

    def test_what_was_missed_while_a_run_went_on(self) -> None:
        task = apply(made(repeat=HOURLY), Claimed("w1"), NINE - 5)
        started = Started("w1", NINE, 0.0)
        task = apply(apply(task, started, NINE), Ended("w1", Done(), started, 3.5 * HOUR), NINE + 210 * MINUTE)
        found = rows(task, high=NINE + 3 * HOUR, at=NINE + 4 * HOUR)
        assert [row[:2] for row in found] == [("09:00:00", "on_time"), ("10:00:00", "missed"), ("11:00:00", "missed")]
        assert "while the run before still went on" in found[1][2]

    def test_one_that_cannot_be_called_has_failed(self) -> None:
        error = failed("WrongArguments", "a", final=True)
        task = apply(made(repeat=HOURLY), Ended("w1", error), NINE + 150 * MINUTE)
        found = [row[:2] for row in rows(task, high=NINE + 3 * HOUR)]
        assert found == [("09:00:00", "failed"), ("10:00:00", "missed"), ("11:00:00", "pending")]

    def test_a_series_whose_end_was_missed(self) -> None:
        task = made(repeat={**HOURLY, "catch_up": "none", "until": format_instant(NINE + HOUR)})
        task = apply(task, Finished("w1"), NINE + DAY)
        assert [row[:2] for row in rows(task)] == [("09:00:00", "missed"), ("10:00:00", "missed")]

    def test_a_retry_belongs_to_its_occurrence(self) -> None:
        task = run(made(repeat=HOURLY, retry=RETRY), NINE + 2, BROKEN, claimed=NINE - 5)
        task = run(task, NINE + 20_010)
        found = rows(task, high=NINE + 2 * HOUR)
        assert found == [("09:00:00", "late", "tried again after ValueError: no"), ("10:00:00", "pending", None)]

    def test_jitter_is_not_lateness(self) -> None:
        task = made(repeat={**HOURLY, "jitter": "PT10M"})
        task = apply(task, Claimed("w1"), NINE - 5)
        for _ in range(3):
            task = run(task, parse_instant(task["date"]) + 3)
        found = audit(task, NINE, NINE + 3 * HOUR, LATER)
        assert [(row.date[11:19], row.outcome, row.lateness_ms) for row in found] == [
            ("09:00:00", "on_time", 3.0), ("10:00:00", "on_time", 3.0), ("11:00:00", "on_time", 3.0),
        ]  # fmt: skip

    def test_nothing_is_to_come_after_the_last_run(self) -> None:
        task = made(repeat={**HOURLY, "limit": 2})
        assert len(rows(task)) == 2
        task = run(run(task, NINE), NINE + HOUR)
        assert [row[:2] for row in rows(task)] == [("09:00:00", "on_time"), ("10:00:00", "on_time")]

    def test_what_the_clocks_left_out_is_skipped(self) -> None:
        repeat = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst": {"gap": "skip"}}
        task = made(put=parse_instant("2026-03-01"), date="2026-03-28", repeat=repeat)
        found = audit(task, parse_instant("2026-03-28"), parse_instant("2026-03-31"), parse_instant("2026-03-27"))
        assert [(row.date, row.outcome) for row in found] == [
            ("2026-03-28T01:30:00.000Z", "pending"),
            ("2026-03-29T01:30:00.000Z", "skipped"),
            ("2026-03-30T00:30:00.000Z", "pending"),
        ]
        assert found[1].why == "02:30 on 2026-03-29 does not exist in Europe/Berlin: left out"

    def test_very_many_are_told_by_one_row(self) -> None:
        task = apply(made(repeat={"interval": "PT1S"}), Claimed("w1"), NINE + 3 * HOUR)
        found = audit(task, NINE, NINE + 3 * HOUR, NINE + 3 * HOUR)
        missed = [row for row in found if row.outcome == "missed"]
        assert len(missed) == 1_001
        last = missed[-1]
        assert (last.date, last.count) == ("2026-12-01T09:16:40.000Z", 3 * 3_600 - 1_000 - 1)
        assert last.last == "2026-12-01T11:59:58.000Z"
        part = audit(task, NINE + HOUR, NINE + HOUR + MINUTE, NINE + 3 * HOUR)
        assert [row.outcome for row in part] == ["missed"] * 60

    def test_what_another_rule_missed_is_told_as_it_stands(self) -> None:
        task = {**self.down("one"), "repeat": {"cron": "17 * * * *"}}
        found = [row for row in audit(task, NINE, NINE + 4 * HOUR, self.at()) if row.outcome == "missed"]
        assert [(row.date[11:19], (row.last or "")[11:19], row.count) for row in found] == [("09:00:00", "12:00:00", 4)]


def test_a_summary_counts_and_tells_how_late() -> None:
    summary = Summary()
    for number in range(100):
        (row,) = audit(run(made(), NINE + number, claimed=NINE - 5), BEFORE, LATER, LATER)
        summary.add(row)
    assert summary.told() == {"counts": {"on_time": 100}, "lateness_ms": {"p50": 50.0, "p99": 99.0}}
    assert Summary().told() == {"counts": {}, "lateness_ms": {"p50": None, "p99": None}}


def at(instant: int, identity: str, **fields: Any) -> Document:
    """A task that was put a day before its date, as it is written when its worker was not asked."""
    return {**made(put=instant - DAY, date=format_instant(instant), **fields), "_id": identity}


async def put(database: Database, *tasks: Document) -> None:
    answers = await database.write([{name: value for name, value in one.items() if name != "_rev"} for one in tasks])
    assert [getattr(answer, "reason", None) for answer in answers] == [None] * len(tasks)


async def until_claimed(client: Client, identity: str, runs: int) -> Document:
    """Wait until a task has been run so often and waits for its next occurrence."""
    async with asyncio.timeout(SECONDS):
        async for task in client.changes(since=0):
            said = any("missed" in entry for entry in task["history"])
            if task["_id"] == identity and (task.get("runs") or 0) == runs and (said or runs > 1):
                return task
    raise AssertionError


class TestADatabase:
    async def test_a_worker_was_down_for_three_occurrences(self, url: str) -> None:  # noqa: F811
        start = now(SystemClock()) - 25 * MINUTE
        series = {
            policy: at(start, policy, repeat={"interval": "PT10M", "catch_up": policy})
            for policy in ("one", "all", "none")
        }
        async with Database(url) as database, Client(url) as client:
            await put(database, *series.values())
            before = await client.audit()
            assert [row["outcome"] for row in before] == ["pending"] * 9
            async with working(url):
                for policy, runs in (("one", 1), ("all", 3), ("none", 0)):
                    await until_claimed(client, policy, runs)
            found = await client.audit(until="PT6M")
        outcomes = {
            policy: [row["outcome"] for row in found if row["id"] == policy] for policy in ("one", "all", "none")
        }
        assert outcomes == {
            "one": ["missed", "missed", "late", "pending"],
            "all": ["late", "late", "late", "pending"],
            "none": ["missed", "missed", "missed", "pending"],
        }
        assert all("not there" in row["why"] for row in found if row["outcome"] == "late")
        assert all("missed while no worker was there" in row["why"] for row in found if row["outcome"] == "missed")

    async def test_finds_what_is_due_elsewhere_by_now(self, url: str) -> None:  # noqa: F811
        """Tasks whose date has moved on, and those that were due before and again."""
        instant = now(SystemClock())
        tried = run(at(instant - HOUR, "tried", retry={"limit": 3, "interval": "P1D"}), instant - HOUR, BROKEN)
        gone = run(at(instant - HOUR, "gone", repeat={"interval": "P1D"}), instant - HOUR)
        behind = at(instant - 3 * DAY, "behind", repeat={"interval": "P1D"})
        plain = at(instant - 3 * DAY, "plain")
        async with Database(url) as database, Client(url) as client:
            await put(database, tried, gone, behind, plain)
            found = await client.audit(since=format_instant(instant - 90 * MINUTE), until=format_instant(instant + 1))
            assert [(row["id"], row["outcome"]) for row in found] == [
                ("gone", "on_time"), ("tried", "pending"), ("behind", "pending"),
            ]  # fmt: skip
            assert await client.audit(worker="other") == []
            assert await client.audit(tag="spring") == []

    async def test_reads_archives_as_far_as_they_tell(self, url: str) -> None:  # noqa: F811
        instant = now(SystemClock())
        first = instant - 150 * HOUR
        task = at(first, "long", repeat={"interval": "PT1H", "catch_up": "all"})
        for number in range(150):
            task = run(task, first + number * HOUR, claimed=first + number * HOUR - 5)
        whole = task["history"]
        cut = {**task, "history": whole[2 * ARCHIVED :], "archived": 2 * ARCHIVED}
        archives = [
            {"_id": archive_id("long", number), "type": "history", "task": "long", "number": number,
             "history": whole[number * ARCHIVED : (number + 1) * ARCHIVED]}
            for number in range(2)
        ]  # fmt: skip
        async with Database(url) as database, Client(url) as client:
            await put(database, cut, *archives)
            since, until = format_instant(first - HOUR), format_instant(instant - HOUR)
            found = await client.audit(since=since, until=until)
        assert [row["outcome"] for row in found] == ["on_time"] * 149


class TestOverHttp:
    def test_page_by_page_it_gives_all_rows(self, server: Server, client: Http) -> None:
        instant = now(SystemClock())
        tasks = [at(instant - number * MINUTE, f"t{number:02}", tags=["odd"][: number % 2]) for number in range(1, 8)]
        tasks.append(at(instant - 3 * DAY, "behind", repeat={"interval": "PT1H"}))
        tasks.append(run(at(instant - 5 * HOUR, "gone", repeat={"interval": "P1D"}), instant - 5 * HOUR))
        for task in tasks:
            assert client.put(f"/after/{task['_id']}", {k: v for k, v in task.items() if k != "_rev"}).status == 201
        whole = client.get("/tasks/_audit", limit="1000").json
        assert (len(whole["rows"]), whole["cursor"]) == (7 + 24 + 1, None)
        assert parse_instant(whole["to"]) - parse_instant(whole["from"]) == DAY
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while cursor or not found:
            page = client.get("/tasks/_audit", limit="5", to=whole["to"], **cursor).json
            assert (page["from"], page["to"]) == (whole["from"], whole["to"])
            found += page["rows"]
            cursor = {} if page["cursor"] is None else {"cursor": page["cursor"]}
            if not cursor:
                break
        assert found == whole["rows"]
        odd = client.get("/tasks/_audit", tag="odd", worker="manobi").json["rows"]
        assert {row["id"] for row in odd} == {"t01", "t03", "t05", "t07"}

    def test_what_is_wrong_is_named(self, client: Http) -> None:
        for name, value in (("from", "soon"), ("to", "soon"), ("tolerance", "P1M"), ("limit", "0"), ("cursor", "x")):
            refused(client.get("/tasks/_audit", **{name: value}), 400, "bad_request", name)
        refused(client.get("/tasks/_audit", **{"from": "2026-01-02", "to": "2026-01-02"}), 400, "bad_request", "to")
        refused(client.get("/tasks/_audit", status="err"), 400, "bad_request", "status")
