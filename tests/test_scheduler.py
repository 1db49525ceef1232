from __future__ import annotations

import asyncio
import gc
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import uvloop

from after.clock import KernelAlarm, LoopAlarm, SystemClock, now
from after.dates import parse_instant
from after.scheduler import Scheduler
from after.testing import TurnableClock

START = parse_instant("2026-12-01T09:00:00Z")
DAY = 24 * 3_600_000


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock(START)


async def settle() -> None:
    """Let the loop take the turns in which a woken scheduler fires."""
    for _ in range(10):
        await asyncio.sleep(0)


def run_on(factory: Callable[[], asyncio.AbstractEventLoop], main: Any) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


# Dates


@pytest.mark.parametrize(
    "date",
    [
        START,
        "2026-12-01T09:00:00Z",
        "2026-12-01T06:00-03:00",
        datetime(2026, 12, 1, 9, tzinfo=UTC),
        datetime(2026, 12, 1, 9),  # noqa: DTZ001 - without a zone it is UTC
        datetime(2026, 12, 1, 6, tzinfo=timezone(timedelta(hours=-3))),
        datetime(2026, 12, 1, 8, 59, 59, 999_001, tzinfo=UTC),
    ],
)
def test_a_date_may_be_given_in_several_ways(date: datetime | str | int) -> None:
    assert Scheduler().at(date, print).date == START


@pytest.mark.parametrize("delay", ["PT5S", timedelta(seconds=5), 5, 5.0, 4.9991])
def test_a_delay_may_be_given_in_several_ways(clock: TurnableClock, delay: str | timedelta | float) -> None:
    assert Scheduler(clock=clock).after(delay, print).date == START + 5_000


def test_what_is_no_date_is_refused() -> None:
    scheduler = Scheduler()
    with pytest.raises(ValueError, match="is not an ISO 8601 date"):
        scheduler.at("tomorrow", print)
    with pytest.raises(TypeError, match="is not a date"):
        scheduler.at(1.5, print)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no fixed length"):
        scheduler.after("P1M", print)
    with pytest.raises(ValueError, match="is not an IANA time zone"):
        scheduler.every("P1D", print, timezone="Mars/Olympus")
    with pytest.raises(ValueError, match="never advances"):
        scheduler.every(timedelta(0), print)
    assert len(scheduler) == 0


# On an event loop


async def test_nothing_is_early_and_everything_due_is_called_in_order(clock: TurnableClock) -> None:
    called: list[str] = []
    async with Scheduler(clock=clock) as scheduler:
        scheduler.at(START + 20, called.append, "third")
        scheduler.at(START + 10, called.append, "first")
        scheduler.at(START + 10, called.append, "second")
        await settle()
        clock.advance(9)
        await settle()
        assert called == []
        clock.advance(1)
        await settle()
        assert called == ["first", "second"]
        clock.advance("P1D")
        await settle()
        assert called == ["first", "second", "third"]


async def test_what_has_passed_is_called_at_once(clock: TurnableClock) -> None:
    called: list[int] = []
    scheduler = Scheduler(clock=clock)
    scheduler.at(START - DAY, called.append, 1)
    async with scheduler:
        scheduler.at(0, called.append, 2)
        await settle()
        assert called == [2, 1]


async def test_a_year_passes_in_a_moment(clock: TurnableClock) -> None:
    called: list[int] = []
    ended = asyncio.Event()
    async with Scheduler(clock=clock) as scheduler:
        for day in range(365):
            scheduler.at(START + day * DAY, called.append, day)
        scheduler.at(START + 365 * DAY, ended.set)
        clock.advance("P365D")
        await ended.wait()
    assert called == list(range(365))


async def test_a_clock_that_is_set_forward_fires_and_one_that_is_set_back_waits(clock: TurnableClock) -> None:
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        scheduler.at(START + DAY, called.append, 1)
        clock.turn("2026-11-01")
        await settle()
        clock.advance("P30D")
        await settle()
        assert called == []
        clock.turn("2027-01-01")
        await settle()
        assert called == [1]


class SilentClock(TurnableClock):
    """A clock that is turned without a word, as a machine's is."""

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


async def test_a_clock_that_was_set_is_noticed_within_a_second_though_it_tells_nobody() -> None:
    clock = SilentClock(START)
    called = asyncio.Event()
    async with Scheduler(clock=clock) as scheduler:
        scheduler.at(START + DAY, called.set)
        await settle()
        clock.turn(START + DAY)
        await settle()
        assert not called.is_set()
        async with asyncio.timeout(10):
            await called.wait()


async def test_a_dropped_timer_is_not_called_and_frees_its_arguments(clock: TurnableClock) -> None:
    class Held:
        def call(self) -> None:
            raise AssertionError

    async with Scheduler(clock=clock) as scheduler:
        held = Held()
        gone = weakref.ref(held)
        timer = scheduler.at(START + 5, held.call)
        del held
        assert timer.pending
        assert timer.cancel()
        assert gone() is None
        assert not timer.pending
        assert not timer.cancel()
        assert not timer.reschedule(START)
        clock.advance(10)
        await settle()


async def test_a_moved_timer_is_called_once_at_its_new_date(clock: TurnableClock) -> None:
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        later = scheduler.at(START + 5, called.append, 1)
        sooner = scheduler.at(START + DAY, called.append, 2)
        assert later.reschedule("2026-12-05")
        assert sooner.reschedule(START + 1)
        await settle()
        clock.advance(10)
        await settle()
        assert called == [2]
        clock.turn("2026-12-05")
        await settle()
        assert called == [2, 1]
        assert not later.reschedule(START)
        assert not later.cancel()


async def test_a_function_may_drop_and_add_what_is_due_with_it(clock: TurnableClock) -> None:
    called: list[str] = []
    async with Scheduler(clock=clock) as scheduler:

        def first() -> None:
            second.cancel()
            scheduler.at(START, called.append, "added")

        scheduler.at(START + 5, first)
        second = scheduler.at(START + 5, called.append, "dropped")
        clock.advance(5)
        await settle()
    assert called == ["added"]


async def test_one_that_fails_is_logged_and_the_rest_goes_on(
    clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[int] = []

    def fail(error: BaseException) -> None:
        raise error

    async def fail_later() -> None:
        raise ValueError("later")

    async with Scheduler(clock=clock) as scheduler:
        scheduler.at(START, fail, ValueError("at once"))
        scheduler.at(START, fail, asyncio.CancelledError())
        scheduler.at(START, fail_later)
        scheduler.at(START, called.append, 1)
        await settle()
    assert called == [1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3
    assert "ValueError: at once" in caplog.text
    assert "ValueError: later" in caplog.text


async def test_a_coroutine_function_becomes_a_task_that_is_kept_and_canceled_at_the_end(clock: TurnableClock) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with Scheduler(clock=clock) as scheduler:
        scheduler.at(START, work)
        await begun.wait()
        gc.collect()
        await settle()
        assert not ended.is_set()
    assert ended.is_set()


async def test_leaving_drops_what_is_left(clock: TurnableClock) -> None:
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.at(START + 5, called.append, 1)
        daily = scheduler.every("P1D", called.append, 2)
    clock.advance("P2D")
    await settle()
    assert called == []
    assert not timer.pending
    assert not daily.pending
    assert not timer.reschedule(START)
    with pytest.raises(RuntimeError, match="has ended"):
        scheduler.at(START, called.append, 3)
    assert len(scheduler) == 0


async def test_it_starts_once_and_may_be_stopped_twice() -> None:
    scheduler = Scheduler()
    async with scheduler:
        with pytest.raises(RuntimeError, match="starts only once"):
            scheduler.start()
    await scheduler.aclose()
    scheduler.stop()
    with pytest.raises(RuntimeError, match="starts only once"):
        await scheduler.__aenter__()


async def test_a_task_of_its_own_may_stop_it(clock: TurnableClock) -> None:
    stopped = asyncio.Event()
    async with Scheduler(clock=clock) as scheduler:

        async def stop() -> None:
            await scheduler.aclose()
            stopped.set()

        scheduler.at(START, stop)
        await stopped.wait()


async def test_another_thread_may_add_and_drop(clock: TurnableClock) -> None:
    called = asyncio.Event()
    async with Scheduler(clock=clock) as scheduler:
        await settle()
        dropped = scheduler.at(START + 1, called.set)

        def elsewhere() -> None:
            assert dropped.cancel()
            scheduler.at(START, called.set)

        await asyncio.to_thread(elsewhere)
        await called.wait()


@loops
def test_many_that_are_due_leave_the_loop_its_turns(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        turns: list[int] = []
        fired = 0
        last = asyncio.Event()

        def fire() -> None:
            nonlocal fired
            fired += 1

        def turn() -> None:
            turns.append(fired)
            if not last.is_set():
                asyncio.get_running_loop().call_soon(turn)

        scheduler = Scheduler()
        for _ in range(50_000):
            scheduler.at(0, fire)
        scheduler.at(1, last.set)
        async with scheduler:
            turn()
            await last.wait()
        assert fired == 50_000
        assert len(set(turns)) > 5, "the loop took no turns in between"

    run_on(loop, main())


@loops
def test_on_the_real_clock_none_is_early(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        clock = SystemClock()
        early: list[float] = []
        ended = asyncio.Event()

        def fire(date: int) -> None:
            if clock.time() * 1000 < date:
                early.append(clock.time() * 1000 - date)

        async with Scheduler() as scheduler:
            first = now(clock)
            for date in range(first, first + 200, 3):
                scheduler.at(date, fire, date)
            scheduler.at(first + 201, ended.set)
            await ended.wait()
        assert early == []

    run_on(loop, main())


@loops
@pytest.mark.parametrize("kind", [KernelAlarm, LoopAlarm])
def test_an_alarm_rings_once_for_the_last_delay_set(
    loop: Callable[[], asyncio.AbstractEventLoop], kind: type[KernelAlarm] | type[LoopAlarm]
) -> None:
    async def main() -> None:
        running = asyncio.get_running_loop()
        rung: list[float] = []
        ended = asyncio.Event()
        alarm = kind(running, lambda: rung.append(running.time()))
        start = running.time()
        alarm.set(30.0)
        alarm.set(0.0)
        alarm.set(0.005)
        running.call_later(0.05, ended.set)
        await ended.wait()
        assert len(rung) == 1
        assert rung[0] - start > 0.003
        alarm.set(0.001)
        alarm.close()
        alarm.close()
        ended.clear()
        running.call_later(0.01, ended.set)
        await ended.wait()
        assert len(rung) == 1

    run_on(loop, main())


def test_without_a_kernel_timer_the_loop_is_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    from after.clock import alarm

    async def main() -> None:
        called = asyncio.Event()
        assert isinstance(alarm(asyncio.get_running_loop(), called.set), LoopAlarm)
        async with Scheduler() as scheduler:
            scheduler.after(0.005, called.set)
            await called.wait()

    monkeypatch.setattr("sys.platform", "darwin")
    run_on(asyncio.new_event_loop, main())


# Repeating timers


async def test_a_repeating_timer_follows_the_calendar(clock: TurnableClock) -> None:
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.every("P1M", lambda: called.append(now(clock)), start="2026-12-31", timezone="Europe/Berlin")
        # One in the morning in Berlin, in whose summer that is an hour earlier in UTC.
        expected = ["2026-12-31", "2027-01-31", "2027-02-28", "2027-03-30T23:00", "2027-04-29T23:00"]
        for date in map(parse_instant, expected):
            assert timer.date == date
            clock.turn(date - 1)
            await settle()
            assert date not in called
            clock.advance(1)
            await settle()
        assert called == list(map(parse_instant, expected))
        assert len(called) == 5
        assert timer.cancel()
        clock.advance("P100D")
        await settle()
        assert len(called) == 5


async def test_missed_occurrences_are_made_up_for_by_one_call(clock: TurnableClock) -> None:
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.every(timedelta(hours=1), called.append, 1)
        clock.advance("PT10H30M")
        await settle()
        assert called == [1]
        assert timer.date == START + 11 * 3_600_000
        assert timer.pending


async def test_a_coroutine_function_never_overlaps_itself(clock: TurnableClock) -> None:
    running, most, ended = 0, 0, 0
    gate = asyncio.Semaphore(0)

    async def work() -> None:
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        await gate.acquire()
        running -= 1
        ended += 1

    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.every("PT1M", work)
        clock.advance("PT1M")
        await settle()
        assert running == 1
        clock.advance("PT5M")
        await settle()
        assert (running, ended) == (1, 0)
        gate.release()
        await settle()
        assert (running, ended) == (1, 1), "what was missed runs once, as soon as it may"
        gate.release()
        await settle()
        assert (running, ended) == (0, 2)
        assert timer.date == START + 7 * 60_000
    assert most == 1


async def test_a_repeating_timer_goes_on_after_a_failure_and_can_be_moved_or_dropped_by_its_function(
    clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("the first time")
        if calls == 2:
            timer.reschedule(START + 10 * DAY)
        if calls == 3:
            timer.cancel()

    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.every("P1D", work)
        dates = []
        while timer.pending:
            dates.append((timer.date - START) // DAY)
            clock.turn(timer.date)
            await settle()
    assert dates == [1, 2, 10]
    assert calls == 3
    assert "ValueError: the first time" in caplog.text


async def test_a_repeating_timer_ends_with_the_calendar() -> None:
    clock = TurnableClock("9999-12-30T12:00")
    called: list[int] = []
    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.every("P1D", called.append, 1)
        clock.advance("P1D")
        await settle()
    assert called == [1]
    assert not timer.pending


# On a thread


@pytest.fixture
def threaded(clock: TurnableClock) -> Iterator[Scheduler]:
    with Scheduler(clock=clock) as scheduler:
        yield scheduler


def test_functions_are_called_one_after_another_on_a_thread_of_its_own(
    clock: TurnableClock, threaded: Scheduler
) -> None:
    called: queue.Queue[tuple[int, int]] = queue.Queue()
    for number in range(3):
        threaded.at(START + 5, lambda n=number: called.put((n, threading.get_ident())))
    clock.advance(5)
    found = [called.get(timeout=10) for _ in range(3)]
    assert [number for number, _ in found] == [0, 1, 2]
    assert len({thread for _, thread in found} - {threading.get_ident()}) == 1


def test_on_a_thread_one_that_fails_is_logged_and_the_rest_goes_on(
    threaded: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def fail(error: BaseException) -> None:
        raise error

    async def coroutine() -> None:
        raise AssertionError

    threaded.at(0, fail, ValueError("broken"))
    threaded.at(1, fail, SystemExit())
    threaded.at(2, coroutine)
    threaded.at(3, ended.set)
    assert ended.wait(10)
    assert "ValueError: broken" in caplog.text
    assert "SystemExit" in caplog.text
    assert "needs a scheduler under `async with`" in caplog.text


def test_an_earlier_timer_wakes_the_thread() -> None:
    called: queue.Queue[str] = queue.Queue()
    with Scheduler() as scheduler:
        scheduler.after("PT1H", called.put, "late")
        scheduler.after(0.9, called.put, "second")
        scheduler.after(0.01, called.put, "first")
        assert called.get(timeout=10) == "first"
        assert called.get(timeout=10) == "second"
        assert called.empty()


def test_many_threads_add_and_drop_at_once() -> None:
    total, threads = 2_000, 4
    called: queue.SimpleQueue[int] = queue.SimpleQueue()
    with Scheduler() as scheduler:
        start = now(SystemClock())

        def add(offset: int) -> None:
            for number in range(total):
                timer = scheduler.at(start + number % 50, called.put, offset + number)
                scheduler.at(start + DAY, called.put, -1).cancel()
                if number % 2:
                    timer.reschedule(start + 60)

        workers = [threading.Thread(target=add, args=(i * total,)) for i in range(threads)]
        for worker in workers:
            worker.start()
        found = {called.get(timeout=20) for _ in range(total * threads)}
        for worker in workers:
            worker.join()
        assert found == set(range(total * threads))
        assert called.empty()
        assert len(scheduler) == 0


def test_a_function_may_stop_the_thread_and_it_may_be_stopped_again(clock: TurnableClock) -> None:
    scheduler = Scheduler(clock=clock)
    stopped = threading.Event()

    def stop() -> None:
        scheduler.stop()
        stopped.set()

    with scheduler:
        scheduler.at(START, stop)
        scheduler.at(START + 1, stopped.clear)
        assert stopped.wait(10)
    scheduler.stop()
    with pytest.raises(RuntimeError, match="has ended"):
        scheduler.after(1, print)
    assert not any(thread.name == "after-scheduler" for thread in threading.enumerate())


def test_stopping_waits_for_the_function_that_runs(clock: TurnableClock) -> None:
    begun, gate = threading.Event(), threading.Event()
    ended: list[float] = []

    def work() -> None:
        begun.set()
        gate.wait(10)
        ended.append(time.monotonic())

    with Scheduler(clock=clock) as scheduler:
        scheduler.at(START, work)
        assert begun.wait(10)
        gate.set()
    assert len(ended) == 1


def test_a_repeating_timer_on_a_thread(clock: TurnableClock, threaded: Scheduler) -> None:
    called: queue.Queue[int] = queue.Queue()
    threaded.every("PT1H", lambda: called.put(now(clock)))
    for hour in range(1, 4):
        clock.turn(START + hour * 3_600_000)
        assert called.get(timeout=10) == START + hour * 3_600_000


def test_a_scheduler_that_never_started_can_be_stopped() -> None:
    scheduler = Scheduler()
    timer = scheduler.at(START, print)
    scheduler.stop()
    assert not timer.pending


# The clock that is turned by hand


def test_a_turned_clock_shows_exactly_the_instant_it_was_turned_to() -> None:
    clock = TurnableClock()
    for instant in range(START, START + 5_000):
        clock.turn(instant)
        assert now(clock) == instant


def test_advancing_moves_both_clocks_and_turning_only_the_wall() -> None:
    clock = TurnableClock("2026-12-01")
    told: list[int] = []
    unwatch = clock.watch(lambda: told.append(now(clock)))
    clock.advance("PT1M")
    assert (clock.monotonic(), now(clock)) == (60.0, parse_instant("2026-12-01T00:01"))
    clock.turn("2020-01-01")
    assert (clock.monotonic(), now(clock)) == (60.0, parse_instant("2020-01-01"))
    assert len(told) == 2
    unwatch()
    unwatch()
    clock.advance(1)
    assert len(told) == 2
    with pytest.raises(ValueError, match="is negative"):
        clock.advance(-1)
