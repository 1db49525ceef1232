"""The scheduler alone, repeating by the calendar and by cron expressions."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable

import pytest

from after.clock import now
from after.dates import format_instant, parse_instant
from after.scheduler import Scheduler
from after.testing import TurnableClock
from after.timers import Timer


async def called(start: str, until: str, add: Callable[[Scheduler, Callable[[], None]], Timer]) -> list[str]:
    """Give when a repeating timer, set at an instant, calls until another."""
    clock = TurnableClock(start)
    found: list[str] = []
    async with Scheduler(clock=clock) as scheduler:
        timer = add(scheduler, lambda: found.append(format_instant(now(clock))[5:16]))
        while timer.pending and timer.date <= parse_instant(until):
            before = len(found)
            clock.turn(timer.date - 1)
            await settle()
            assert len(found) == before, "nothing is early"
            clock.turn(timer.date)
            await settle()
            assert len(found) == before + 1
    return found


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_cron_expression_calls_at_its_times_in_a_zone() -> None:
    found = await called(
        "2026-03-27T12:00Z",
        "2026-03-31",
        lambda scheduler, work: scheduler.cron("30 2 * * *", work, timezone="Europe/Berlin"),
    )
    assert found == ["03-28T01:30", "03-29T01:30", "03-30T00:30"]
    assert await called("2026-05-01", "2026-05-02", lambda scheduler, work: scheduler.cron("0 9 * * 1-5", work)) == [
        "05-01T09:00"
    ]


@pytest.mark.parametrize(
    ("gap", "overlap", "expected"),
    [
        ("shift", "first", ["03-29T01:30", "10-25T00:30"]),
        ("skip", "second", ["10-25T01:30"]),
        ("skip", "both", ["10-25T00:30", "10-25T01:30"]),
    ],
)
async def test_what_the_clocks_do_is_chosen(gap: str, overlap: str, expected: list[str]) -> None:
    options = {"timezone": "Europe/Berlin", "gap": gap, "overlap": overlap}
    for add in (
        lambda scheduler, work: scheduler.cron("30 2 * * *", work, **options),
        lambda scheduler, work: scheduler.every("P1D", work, start="2026-01-01T01:30Z", **options),
    ):
        found = await called("2026-03-28T12:00", "2026-03-29T12:00", add)
        found += await called("2026-10-24T12:00", "2026-10-25T12:00", add)
        assert found == expected


async def test_what_was_missed_is_made_up_for_by_one_call() -> None:
    clock, found = TurnableClock("2026-05-04T09:00:30Z"), queue.SimpleQueue[int]()
    async with Scheduler(clock=clock) as scheduler:
        timer = scheduler.cron("* * * * *", lambda: found.put(1))
        clock.advance("PT10M")
        await settle()
        assert found.qsize() == 1
        assert timer.date == parse_instant("2026-05-04T09:11Z")


async def test_a_series_that_ends_drops_its_timer() -> None:
    clock, found = TurnableClock("9999-12-30T12:00"), queue.SimpleQueue[int]()
    async with Scheduler(clock=clock) as scheduler:
        timers = [scheduler.cron("0 0 31 * *", lambda: found.put(1)), scheduler.every("P1D", lambda: found.put(2))]
        clock.advance("PT24H")
        await settle()
        assert [timer.pending for timer in timers] == [False, False]
        assert found.qsize() == 2
        assert len(scheduler) == 0
        for add in (lambda: scheduler.cron("@yearly", print), lambda: scheduler.every("P1Y", print)):
            with pytest.raises(OverflowError, match="past the year 9999"):
                add()


def test_what_is_wrong_is_refused() -> None:
    scheduler = Scheduler()
    with pytest.raises(ValueError, match="'61 \\* \\* \\* \\*' is not a cron expression: bad minute"):
        scheduler.cron("61 * * * *", print)
    with pytest.raises(ValueError, match="is not an IANA time zone"):
        scheduler.cron("@daily", print, timezone="Mars/Olympus")
    with pytest.raises(ValueError, match="gap: 'skp' is not one of shift, skip"):
        scheduler.cron("@daily", print, gap="skp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overlap: 'none' is not one of first, second, both"):
        scheduler.every("P1D", print, overlap="none")  # type: ignore[arg-type]
    assert len(scheduler) == 0
