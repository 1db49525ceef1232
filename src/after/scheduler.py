"""The scheduler: calls functions at their date, from memory. It needs no database, server or worker."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import Any, Self, get_args

from after.clock import Clock, SystemClock, now
from after.dates import Duration, parse_duration, parse_elapsed, parse_instant
from after.drivers import Call, LoopDriver, ThreadDriver
from after.recurrence import Interval, Zoned, cron, parse_zone
from after.repeat import Dst, Gap, Overlap
from after.timers import RepeatingTimer, Series, Timer, Timers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_LONGEST_SLEEP = 1_000
"""Milliseconds between two looks at the wall clock, which may have been set, or gone on while the machine slept."""

_AWAKE = -(2**63)
"""Earlier than any tick: whoever adds a timer need not wake the scheduler."""

_ASLEEP = 2**63
"""Later than any tick: whoever adds a timer must wake the scheduler."""


class Scheduler:
    """Calls functions at their date.

        with Scheduler() as scheduler:
            timer = scheduler.at("2026-12-01T09:00:00Z", function, *arguments)
            scheduler.after("PT5S", function)
            scheduler.every("P1D", function, timezone="America/Sao_Paulo")
            scheduler.cron("0 9 * * 1-5", function)

    Under `with` the functions are called one after another on a thread of the scheduler's own. Under `async with` they
    are called on the running event loop, and what a coroutine function returns becomes a task there. A function that
    raises is logged, and the others go on. Timers may be added, moved and dropped from any thread.

    Nothing is called before its date by the wall clock, and everything is called whose date has passed, whether the
    clock ran there or was set. A scheduler starts once; leaving the context drops the timers that are left and cancels
    the tasks that still run. Adding a timer after that raises `RuntimeError`.
    """

    def __init__(self, *, clock: Clock | None = None, resolution: int = 1) -> None:
        """Go by `clock`, the machine's own if none is given; `resolution` is the length of a tick in milliseconds.

        Timers of one tick are called together, at its end. Raises `ValueError` where a tick is less than 1 ms.
        """
        self._clock: Clock = clock or SystemClock()
        self._resolution = resolution
        self._timers = Timers(resolution)
        # Reentrant, because a signal handler or a finalizer may add or drop a timer in the middle of another call.
        self._lock = threading.RLock()
        self._driver: ThreadDriver | LoopDriver | None = None
        self._ended = False
        self._wakes = _AWAKE
        self._unwatch: Callable[[], None] | None = None

    def __len__(self) -> int:
        """Give the number of timers that wait for their date."""
        return len(self._timers)

    def at(self, date: datetime | str | int, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call `function` with `arguments` at `date`, at once where that has passed.

        `date` is a `datetime` (UTC where it has no zone), ISO 8601 text, or milliseconds since the epoch.
        Raises `ValueError` for text that is not a date, `RuntimeError` where the scheduler has ended.
        """
        timer = Timer(date if type(date) is int else _instant(date), function, arguments, self)
        with self._lock:
            if self._timers.insert(timer) < self._wakes:
                self._hurry()
        return timer

    def after(self, delay: str | timedelta | float, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call `function` with `arguments` after `delay`: an ISO 8601 duration, a `timedelta`, or seconds.

        Raises `ValueError` for text that is not a duration or has months, which have no fixed length.
        """
        if isinstance(delay, str):
            seconds = parse_elapsed(delay) / 1000
        else:
            seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return self.at(math.ceil((self._clock.time() + seconds) * 1000), function, *arguments)

    def every(
        self,
        interval: str | timedelta,
        function: Callable[..., object],
        *arguments: Any,
        timezone: str | tzinfo = UTC,
        start: datetime | str | int | None = None,
        gap: Gap = "shift",
        overlap: Overlap = "first",
    ) -> Timer:
        """Call `function` with `arguments` at each `start + k * interval`; without `start` first after one interval.

        `interval` is an ISO 8601 duration, whose days and longer are calendar units in `timezone` (an IANA name),
        or a `timedelta`, which is elapsed time. `gap` and `overlap` are as in `cron`. Occurrences that were missed,
        because the clock was set, the machine slept or the function took long, are made up for by one call; a coroutine
        function never runs twice at a time. Dropping the timer ends the repetition, not the call that runs; moving it
        moves one occurrence.
        Raises `ValueError` for text that is not a duration, a date or a time zone, and `OverflowError` where the
        first call would be past the year 9999.
        """
        length = parse_duration(interval) if isinstance(interval, str) else _duration(interval)
        present = now(self._clock)
        anchor = present if start is None else _instant(start)
        return self._repeat(Interval(length, anchor, _zone(timezone), _dst(gap, overlap)), function, arguments)

    def cron(
        self,
        expression: str,
        function: Callable[..., object],
        *arguments: Any,
        timezone: str | tzinfo = UTC,
        gap: Gap = "shift",
        overlap: Overlap = "first",
    ) -> Timer:
        """Call `function` with `arguments` at the times of a cron expression, as a clock in `timezone` shows them.

        `expression` has five fields, or six with the seconds first, or is such as `@daily`. A time that a change of
        the clocks leaves out is moved forward by the length of the gap (`gap="shift"`) or left out (`"skip"`), and one
        that comes twice is taken as `overlap` says: `"first"`, `"second"` or `"both"`. Missed occurrences are made up
        for by one call, as `every` does. Raises `ValueError` for what is not a cron expression or a time zone.
        """
        return self._repeat(Zoned(cron(expression), _zone(timezone), _dst(gap, overlap)), function, arguments)

    def _repeat(self, series: Series, function: Callable[..., object], arguments: tuple[Any, ...]) -> Timer:
        first = series.next(now(self._clock))
        if first is None:
            raise OverflowError("the first call would be past the year 9999")
        timer = RepeatingTimer(first, function, arguments, self, series=series)
        self._insert(timer)
        return timer

    def cancel(self, timer: Timer) -> bool:
        """Drop a timer; False where it had fired or was dropped before."""
        with self._lock:
            self._timers.remove(timer)
            kept = timer.function, timer.arguments
            timer.drop()
        # Freed here, outside of the lock: what the arguments held may run finalizers.
        return kept[0] is not None

    def reschedule(self, timer: Timer, date: datetime | str | int) -> bool:
        """Move a timer; False where it had fired or was dropped before."""
        moved = _instant(date)
        with self._lock:
            if timer.function is None:
                return False
            waits = self._timers.remove(timer)
            timer.date = moved
            if waits:
                self._insert(timer)
        return True

    def start(self) -> None:
        """Start the scheduler's own thread, as `with` does; raises `RuntimeError` where it was started before."""
        self._start(ThreadDriver(self._take, self._again, self._rest))

    def stop(self) -> None:
        """Drop the timers and wait until the function that runs has ended; may be called again, and by a function."""
        self._end()
        if isinstance(self._driver, ThreadDriver):
            self._driver.stop()

    async def aclose(self) -> None:
        """Drop the timers, cancel the tasks and wait for them; may be called again, and by one of the tasks."""
        self._end()
        if isinstance(self._driver, LoopDriver):
            await self._driver.aclose()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self._start(LoopDriver(asyncio.get_running_loop(), self._take, self._again, self._rest))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self, driver: ThreadDriver | LoopDriver) -> None:
        with self._lock:
            if self._driver is not None or self._ended:
                raise RuntimeError("a scheduler starts only once")
            self._driver = driver
        self._unwatch = self._clock.watch(driver.wake)
        driver.start()

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            self._wakes = _ASLEEP  # so that adding a timer comes to `_hurry`, which refuses
            timers, self._timers = self._timers, Timers()
            unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()
        timers.clear()

    def _insert(self, timer: Timer) -> None:
        with self._lock:
            if self._timers.insert(timer) < self._wakes:
                self._hurry()

    def _hurry(self) -> None:
        """Have the clock looked at sooner than was planned; the lock is held."""
        if self._ended:
            self._timers.clear()
            raise RuntimeError("the scheduler has ended")
        self._wakes = _AWAKE
        if self._driver is not None:
            self._driver.wake()

    def _take(self) -> Call | None:
        """Take out what is due first; None where nothing is."""
        present = now(self._clock)
        with self._lock:
            timer = self._timers.pop_due(present)
            if timer is None:
                return None
            self._wakes = _AWAKE
            function, arguments = timer.function, timer.arguments
            timer.begin(present)
        assert function is not None
        return timer, function, arguments

    def _again(self, timer: Timer) -> None:
        """Put back a repeating timer whose call has ended."""
        with self._lock:
            if timer.pending and not self._ended:
                self._insert(timer)

    def _rest(self) -> float | None:
        """Give the seconds until the next look at the clock; None where only `wake` need end the waiting."""
        with self._lock:
            due = self._timers.next_due()
            if due is None:
                self._wakes = _ASLEEP
                return None
            present = self._clock.time()
            self._wakes = min(due, math.floor(present * 1000) + _LONGEST_SLEEP)
            return max(0.0, self._wakes / 1000 - present)


def _instant(date: datetime | str | int) -> int:
    """Give an instant, rounded up where a `datetime` has microseconds, so that nothing is early."""
    if isinstance(date, str):
        return parse_instant(date)
    if isinstance(date, datetime):
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return -((_EPOCH - aware) // _MILLISECOND)
    if isinstance(date, int):
        return date
    raise TypeError(f"{date!r} is not a date: a datetime, ISO 8601 text or whole milliseconds since the epoch")


def _zone(timezone: str | tzinfo) -> tzinfo:
    return parse_zone(timezone) if isinstance(timezone, str) else timezone


def _dst(gap: Gap, overlap: Overlap) -> Dst:
    for name, value, choices in (("gap", gap, get_args(Gap)), ("overlap", overlap, get_args(Overlap))):
        if value not in choices:
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(choices)}")
    return Dst(gap, overlap)


def _duration(length: timedelta) -> Duration:
    return Duration(milliseconds=length // _MILLISECOND)
