"""The engine that is turned by a clock: what runs, when, in which order, and what is stored of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
import working
from working import Gate, story

from after import BlockingClient, Client, JobError, TaskContext, job
from after.jobs import Registry
from after.task import Document
from after.testing import Engine, TurnableClock, runner

NOON = "2040-01-01T12:00:00.000Z"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine(working.JOBS) as engine:
        yield engine


def dates(ran: list[Document]) -> list[str]:
    """Give when each has ended."""
    return [task["history"][-1]["at"] for task in ran]


async def test_what_is_due_runs_and_is_given_as_stored(engine: Engine) -> None:
    task = await engine.schedule("manobi", "give", [1, "a"])
    later = await engine.schedule("manobi", "nothing", date="PT1S")
    (ran,) = await engine.run_due()
    assert (ran["_id"], ran["status"], ran["result"]) == (task["_id"], "done", [1, "a"])
    assert ran == await engine.client.get(task["_id"])
    assert (await engine.client.get(later["_id"]))["status"] == "waiting"
    assert await engine.run_due() == []


async def test_each_runs_at_its_own_instant_and_none_is_late(engine: Engine) -> None:
    start = datetime(2040, 1, 1, 12, tzinfo=UTC)
    for day in (40, 3, 200, 7, 100):
        await engine.schedule("manobi", "nothing", date=start + timedelta(days=day))
    await engine.schedule("another", "nothing", date=start + timedelta(days=5))
    ran = await engine.advance("P150D")
    assert dates(ran) == [f"2040-{date}T12:00:00.000Z" for date in ("01-04", "01-06", "01-08", "02-10", "04-10")]
    assert {task["history"][-1]["lateness_ms"] for task in ran} == {0}
    assert engine.clock.time() == (datetime(2040, 1, 1, tzinfo=UTC) + timedelta(days=150)).timestamp()
    assert len(await engine.run_until("2041-01-01")) == 1
    assert await engine.run_until(datetime(2041, 1, 1)) == []  # noqa: DTZ001 - without a zone it is UTC
    with pytest.raises(ValueError, match="past"):
        await engine.run_until("2040-12-31")
    with pytest.raises(ValueError, match="past"):
        await engine.advance(-timedelta(seconds=1))


async def test_many_tasks_of_many_workers_run_in_order_of_date(engine: Engine) -> None:
    count = 3 * runner.PAGE
    await engine.client.schedule_many(
        {"worker": f"w{n % 3}", "job": "nothing", "date": f"2040-01-01T00:{n * 7 % 60:02}:{n % 60:02}Z", "_id": f"{n}"}
        for n in range(count)
    )
    ran = await engine.advance("P1D")
    assert len({task["_id"] for task in ran}) == count
    assert dates(ran) == sorted(task["date"] for task in ran)


async def test_priority_orders_what_is_due_together(engine: Engine) -> None:
    for name, priority in (("low", -5), ("none", 0), ("high", 7)):
        await engine.schedule("manobi", "nothing", date=NOON, id=name, priority=priority)
    await engine.schedule("manobi", "nothing", date="PT1H", id="earlier", priority=-100)
    assert [task["_id"] for task in await engine.advance("P1D")] == ["earlier", "high", "none", "low"]


async def test_time_that_passes_without_a_worker_makes_late(engine: Engine) -> None:
    await engine.schedule("manobi", "nothing", id="late")
    await engine.schedule("manobi", "nothing", id="expired", expires="PT1H")
    engine.clock.advance("PT2H")
    late, expired = sorted(await engine.run_due(), key=lambda task: task["_id"], reverse=True)
    assert (late["status"], late["history"][-1]["lateness_ms"]) == ("done", 7_200_000)
    assert (expired["status"], expired["error"]["type"]) == ("err", "Expired")


async def test_a_retry_runs_when_its_wait_is_over(engine: Engine) -> None:
    retry = {"limit": 2, "interval": "PT10S", "backoff": 2, "jitter": 0.5}
    await engine.schedule("manobi", "flaky", retry=retry)
    (first,) = await engine.run_due()
    assert (first["status"], first["date"], first["error"]["message"]) == (
        "waiting", "2040-01-01T00:00:10.000Z", "attempt 1",
    )  # fmt: skip
    assert await engine.run_due() == []
    second, third = await engine.advance("PT1M")
    assert dates([second, third]) == ["2040-01-01T00:00:10.000Z", "2040-01-01T00:00:30.000Z"]
    assert (third["status"], third["result"], third["attempt"]) == ("done", 3, 3)


async def test_a_retry_without_a_wait_is_due_at_once(engine: Engine) -> None:
    await engine.schedule("manobi", "flaky", retry={"limit": 1})
    assert [task["status"] for task in await engine.run_due()] == ["waiting", "err"]


async def test_what_a_job_puts_runs_too(engine: Engine) -> None:
    @job
    async def chain(left: int) -> int:
        if left:
            await engine.schedule("manobi", "chain", left - 1, date="PT0S" if left % 2 else "P1D")
        return left

    engine.add(chain)
    await engine.schedule("manobi", "chain", 4)
    assert [task["result"] for task in await engine.run_due()] == [4]
    assert [task["result"] for task in await engine.advance("P1D")] == [3, 2]
    assert [task["result"] for task in await engine.advance("P30D")] == [1, 0]


async def test_a_job_that_puts_itself_for_ever_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    @job
    async def again() -> None:
        await engine.schedule("manobi", "again")

    monkeypatch.setattr(runner, "MAX_RUNS", 20)
    engine.add(again)
    await engine.schedule("manobi", "again")
    with pytest.raises(RuntimeError, match="20 runs at 2040-01-01T00:00:00"):
        await engine.run_due()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("fail", "LookupError"), ("exit_in_thread", "SystemExit"), ("give_object", "ResultNotJSON"),
     ("unknown", "UnknownJob"), ("hang", "Timeout")],
)  # fmt: skip
async def test_a_job_that_cannot_be_done_ends_as_err(engine: Engine, name: str, kind: str) -> None:
    await engine.schedule("manobi", name, *(["why"] if name == "fail" else []))
    (task,) = await engine.run_due()
    assert (task["status"], task["error"]["type"]) == ("err", kind)


async def test_a_timeout_passes_by_the_turned_clock(engine: Engine) -> None:
    gate = Gate()
    engine.add(gate.job)
    await engine.schedule("manobi", "gate", timeout="PT10M")
    running = asyncio.create_task(engine.run_due())
    await gate.begun.wait()
    engine.clock.advance("PT9M59S")
    engine.clock.advance("PT1S")
    (task,) = await running
    assert (task["status"], task["error"]["type"]) == ("err", "Timeout")
    assert task["history"][-1]["duration_ms"] == 600_000


async def test_a_job_that_turns_the_clock_takes_that_long(engine: Engine) -> None:
    @job
    def slow(*, task: TaskContext) -> None:
        engine.clock.advance("PT2S")
        task.log("two seconds later")

    engine.add(slow)
    await engine.schedule("manobi", "slow", date=NOON)
    await engine.schedule("manobi", "nothing", date="2040-01-01T12:00:01Z")
    first, second = await engine.advance("P1D")
    assert first["history"][-1]["duration_ms"] == 2000
    assert first["log"] == [{"at": "2040-01-01T12:00:02.000Z", "text": "two seconds later"}]
    assert second["history"][-1]["lateness_ms"] == 1000


async def test_a_task_is_canceled_before_it_runs(engine: Engine) -> None:
    task = await engine.schedule("manobi", "nothing", date=NOON)
    await engine.client.cancel(task["_id"])
    (canceled,) = await engine.run_due()
    assert story(canceled) == ["waiting", "cancel", "canceled"]
    assert await engine.advance("P1D") == []


@pytest.mark.parametrize("asked", ["cancel", "reschedule", "delete"])
async def test_a_job_is_told_to_end_while_it_runs(engine: Engine, asked: str) -> None:
    gate = Gate()
    engine.add(gate.job)
    task = await engine.schedule("manobi", "gate")
    running = asyncio.create_task(engine.run_due())
    await gate.begun.wait()
    if asked == "reschedule":
        await engine.client.reschedule(task["_id"], "P1D")
    else:
        await getattr(engine.client, asked)(task["_id"])
    ran = await running
    assert [one["status"] for one in ran] == {"cancel": ["canceled"], "reschedule": ["waiting"], "delete": []}[asked]
    gate.open.set()
    assert [one["status"] for one in await engine.advance("P1D")] == (["done"] if asked == "reschedule" else [])
    assert gate.runs == (2 if asked == "reschedule" else 1)


async def test_a_job_that_ends_all_the_same_has_ended(engine: Engine) -> None:
    @job
    def deaf() -> str:
        with BlockingClient(engine.url, clock=engine.clock) as client:
            client.cancel("deaf")
        return "through"

    engine.add(deaf)
    await engine.schedule("manobi", "deaf", id="deaf")
    (task,) = await engine.run_due()
    assert (story(task), task["result"]) == (["waiting", "scheduled", "cancel", "done"], "through")


async def test_a_reschedule_is_answered_and_not_given(engine: Engine) -> None:
    task = await engine.schedule("manobi", "nothing", date=NOON)
    await engine.client.reschedule(task["_id"], "2040-02-01")
    assert await engine.run_due() == []
    assert (await engine.client.get(task["_id"]))["status"] == "waiting"
    assert dates(await engine.run_until("2041-01-01")) == ["2040-02-01T00:00:00.000Z"]
    await engine.client.again(task["_id"])
    assert len(await engine.run_due()) == 1


async def test_a_test_that_is_stopped_leaves_no_task_in_hand(engine: Engine) -> None:
    gate = Gate()
    engine.add(gate.job)
    task = await engine.schedule("manobi", "gate")
    running = asyncio.create_task(engine.run_due())
    await gate.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await engine.client.get(task["_id"]))["status"] == "waiting"


async def test_a_job_cannot_run_others(engine: Engine) -> None:
    @job
    async def nested() -> None:
        await engine.run_due()

    engine.add(nested)
    await engine.schedule("manobi", "nested")
    (task,) = await engine.run_due()
    assert "tasks are run already" in task["error"]["message"]


async def test_every_program_that_speaks_http_reaches_it(engine: Engine) -> None:
    speak_from_elsewhere(engine)  # although that blocks the loop of this test
    await engine.run_due()
    assert [(task["_id"], task["status"]) for task in await engine.client.list()] == [
        ("process", "done"), ("client", "done"), ("http", "waiting"),
    ]  # fmt: skip
    async with Client(engine.url) as client, asyncio.timeout(20):
        assert (await client.wait("client"))["result"] == 1


def speak_from_elsewhere(engine: Engine) -> None:
    """Put a task by the blocking client, one by plain HTTP, and one from another process."""
    with BlockingClient(engine.url, clock=engine.clock) as client:
        client.schedule("manobi", "give", 1, id="client")
    posted = urllib.request.Request(
        f"{engine.origin}/tasks/http", json.dumps({"worker": "manobi", "job": "nothing", "date": "PT1H"}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(posted) as answer:
        assert json.load(answer)["task"]["date"] == "2040-01-01T01:00:00.000Z"
    put = f"after.Client({engine.url!r}).schedule('manobi', 'nothing', id='process')"
    subprocess.run([sys.executable, "-c", f"import asyncio, after; asyncio.run({put})"], check=True)


def test_jobs_are_given_in_any_form() -> None:
    module = ModuleType("shop")
    module.__dict__.update(give=working.give, other=1, proxy=_Proxy())
    for given in (
        working.give,
        module,
        Registry.of(working.give),
        [module],
        {"give": Registry.of(working.give)["give"]},
    ):
        assert list(Engine(given).jobs) == ["give"]
    assert list(Engine(working.give, [module, working.fail]).jobs) == ["give", "fail"]
    for wrong in (len, "shop", None):
        with pytest.raises(JobError):
            Engine(wrong)


class _Proxy:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("working outside of a request")


def test_an_engine_starts_once_and_may_be_stopped_twice() -> None:
    engine = Engine(clock=TurnableClock(NOON))
    engine.stop()
    engine.start()
    with pytest.raises(AssertionError):
        engine.start()
    engine.stop()
    engine.stop()
