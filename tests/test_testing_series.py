"""Repeating tasks, dependencies and keys by the turned clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import working
from working import story

from after import job
from after.testing import Engine

BERLIN = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine(working.JOBS) as engine:
        yield engine


async def test_a_year_of_a_daily_task(engine: Engine) -> None:
    task = await engine.schedule("manobi", "nothing", repeat={"interval": "P1D"}, date="2041-01-01T09:00Z")
    ran = await engine.run_until("2042-01-01")
    ends = [one["history"][-1] for one in ran]
    assert len(ends) == 365
    assert [end["at"] for end in ends] == sorted({end["date"] for end in ends})
    assert {(end["status"], end["lateness_ms"]) for end in ends} == {("done", 0)}
    stored = await engine.client.get(task["_id"])
    assert (stored["status"], stored["date"], stored["runs"]) == ("waiting", "2042-01-01T09:00:00.000Z", 365)
    assert stored["archived"] + len(stored["history"]) == 1 + 2 * 365
    assert ran[-1] == stored


async def test_a_nominal_time_that_the_clocks_leave_out_or_give_twice(engine: Engine) -> None:
    await engine.schedule("manobi", "nothing", repeat=BERLIN, date="2040-03-24")
    spring = [one["history"][-1] for one in await engine.run_until("2040-03-27")]
    assert [end["at"] for end in spring] == [f"2040-03-{at}:00.000Z" for at in ("24T01:30", "25T01:30", "26T00:30")]
    assert [end["note"] for end in spring if "note" in end] == [
        "02:30 on 2040-03-25 does not exist in Europe/Berlin: moved to 03:30"
    ]
    autumn = [one["history"][-1]["at"] for one in await engine.run_until("2040-10-30")][-3:]
    assert autumn == [f"2040-10-{time}:00.000Z" for time in ("27T00:30", "28T00:30", "29T01:30")]


@pytest.mark.parametrize(("catch_up", "runs"), [("one", 1), ("all", 3), ("none", 0)])
async def test_what_was_missed_while_no_worker_was_there(engine: Engine, catch_up: str, runs: int) -> None:
    repeat = {"interval": "P1D", "catch_up": catch_up}
    await engine.schedule("manobi", "nothing", repeat=repeat, date="2040-01-02T09:00Z", id="daily")
    engine.clock.advance("P4D")
    assert len(await engine.run_due()) == runs
    stored = await engine.client.get("daily")
    assert (stored["status"], stored["date"]) == ("waiting", "2040-01-05T09:00:00.000Z")
    left_out = [entry["missed"]["count"] for entry in stored["history"] if "missed" in entry]
    assert left_out == {"one": [2], "all": [], "none": [3]}[catch_up]


async def test_a_series_ends_and_can_be_canceled(engine: Engine) -> None:
    await engine.schedule("manobi", "nothing", repeat="R3/2040-01-02T00:00:00Z/PT1S", id="three")
    await engine.schedule("manobi", "nothing", repeat={"interval": "P1D"}, id="stopped")
    ran = await engine.advance("P2D")
    assert [one["status"] for one in ran if one["_id"] == "three"] == ["waiting", "waiting", "done"]
    assert [one["status"] for one in ran if one["_id"] == "stopped"] == ["waiting"] * 3
    await engine.client.cancel("stopped")
    assert [(one["_id"], one["status"]) for one in await engine.advance("P9D")] == [("stopped", "canceled")]


async def test_a_task_waits_for_others(engine: Engine) -> None:
    await engine.schedule("manobi", "nothing", date="PT1H", id="first")
    await engine.schedule("another", "nothing", date="PT2H", id="second")
    await engine.schedule("manobi", "nothing", after=["first", "second"], id="both")
    await engine.schedule("manobi", "nothing", after=["both"], date="P1D", id="tomorrow")
    ran = await engine.advance("P2D")
    assert [(one["_id"], one["history"][-1]["at"][:16]) for one in ran] == [
        ("first", "2040-01-01T01:00"), ("second", "2040-01-01T02:00"), ("both", "2040-01-01T02:00"),
        ("tomorrow", "2040-01-02T00:00"),
    ]  # fmt: skip


async def test_what_waits_for_a_failure_fails_and_so_does_what_waits_for_that(engine: Engine) -> None:
    await engine.schedule("manobi", "fail", "why", id="first")
    await engine.schedule("manobi", "nothing", after=["first"], id="second")
    await engine.schedule("manobi", "nothing", after=["second"], id="third")
    ran = await engine.run_due()
    assert [(one["_id"], one["error"]["type"]) for one in ran] == [
        ("first", "LookupError"), ("second", "DependencyFailed"), ("third", "DependencyFailed"),
    ]  # fmt: skip


async def test_a_dependency_that_is_settled_from_outside_frees_too(engine: Engine) -> None:
    await engine.schedule("manobi", "nothing", date="P9D", id="first")
    await engine.schedule("manobi", "nothing", after=["first"], id="second")
    assert await engine.run_due() == []
    await engine.client.cancel("first")
    assert [(one["_id"], one["status"]) for one in await engine.run_due()] == [("first", "canceled"), ("second", "err")]


async def test_tasks_of_one_key_run_in_order_of_date(engine: Engine) -> None:
    seen: list[int] = []

    @job
    async def note(number: int) -> None:
        seen.append(number)

    engine.add(note)
    for number in (3, 1, 2):
        await engine.schedule("manobi", "note", number, key="account-7", date=f"PT{number}S")
    engine.clock.advance("PT1M")
    ran = await engine.run_due()
    assert seen == [1, 2, 3]
    assert story(ran[0])[0] == "waiting"


@pytest.mark.parametrize(
    ("dst", "runs", "spring", "autumn"),
    [
        ({}, 365, ["03-29T01:30"], ["10-25T00:30"]),
        ({"gap": "skip"}, 364, [], ["10-25T00:30"]),
        ({"overlap": "second"}, 365, ["03-29T01:30"], ["10-25T01:30"]),
        ({"overlap": "both"}, 366, ["03-29T01:30"], ["10-25T00:30", "10-25T01:30"]),
        ({"gap": "skip", "overlap": "both"}, 365, [], ["10-25T00:30", "10-25T01:30"]),
    ],
    ids=["shift-first", "skip-first", "shift-second", "shift-both", "skip-both"],
)
async def test_a_year_in_berlin_by_each_policy(
    engine: Engine, dst: dict[str, str], runs: int, spring: list[str], autumn: list[str]
) -> None:
    repeat = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst": dst}
    engine.clock.turn("2026-01-01")
    await engine.schedule("manobi", "nothing", repeat=repeat, id="nightly")
    ran = [one["history"][-1] for one in await engine.run_until("2026-12-31T23:00Z")]
    instants = [end["date"] for end in ran]
    assert instants == sorted(set(instants)), "each once, in order"
    assert all(end["lateness_ms"] == 0 and end["status"] == "done" for end in ran)
    assert len(instants) == runs
    assert instants == await engine.client.next(repeat, since="2026-01-01", count=runs)
    assert {instant[14:] for instant in instants} == {"30:00.000Z"}
    assert [instant[5:16] for instant in instants if instant[5:10] == "03-29"] == spring
    assert [instant[5:16] for instant in instants if instant[5:10] == "10-25"] == autumn
