"""A clock that is turned by hand, and what waits by it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from after.dates import parse_elapsed, parse_instant


class TurnableClock:
    """A clock that stands still until it is turned, so that a test runs years in milliseconds.

    `advance` moves the wall clock and the monotonic one together, as time does; `turn` sets the wall clock alone,
    as a person or NTP does. Instants are ISO 8601 text or milliseconds since the epoch, lengths of time ISO 8601
    durations or milliseconds. It may be turned from any thread.
    """

    def __init__(self, start: int | str = 0) -> None:
        self._wall = _instant(start)
        self._monotonic = 0
        self._watchers: dict[object, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def time(self) -> float:
        """Give the wall clock in seconds since the Unix epoch."""
        seconds = self._wall / 1000
        # Rounded the wrong way, the instant that the clock was turned to would not have come yet.
        return seconds if math.floor(seconds * 1000) == self._wall else math.nextafter(seconds, math.inf)

    def monotonic(self) -> float:
        """Give the seconds by which the clock was advanced."""
        return self._monotonic / 1000

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback`, on the thread that turns the clock, after each turn; gives the function that ends it."""
        key = object()
        with self._lock:
            self._watchers[key] = callback

        def unwatch() -> None:
            with self._lock:
                self._watchers.pop(key, None)

        return unwatch

    def turn(self, to: int | str) -> None:
        """Set the wall clock, forward or back; raises `ValueError` for text that is not a date."""
        with self._lock:
            self._wall = _instant(to)
        self._tell()

    def advance(self, by: int | str) -> None:
        """Let time pass; raises `ValueError` for a duration without fixed length or a negative number."""
        length = parse_elapsed(by) if isinstance(by, str) else by
        if length < 0:
            raise ValueError(f"{by!r} is negative; only `turn` sets a clock back")
        with self._lock:
            self._wall += length
            self._monotonic += length
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            watchers = list(self._watchers.values())
        for watcher in watchers:
            watcher()

    def limit(self, seconds: float | None) -> AbstractAsyncContextManager[None]:
        """Give a context that ends with `TimeoutError` when so many seconds are over, by this clock or in truth."""
        return _limited(self, seconds)


@asynccontextmanager
async def _limited(clock: TurnableClock, seconds: float | None) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds) as scope:
        if seconds is None:
            yield
            return
        loop, until = asyncio.get_running_loop(), clock.monotonic() + seconds

        def end() -> None:
            with suppress(RuntimeError):  # it has ended meanwhile
                scope.reschedule(loop.time())

        def look() -> None:  # on the thread that turns the clock
            if clock.monotonic() >= until:
                loop.call_soon_threadsafe(end)

        unwatch = clock.watch(look)
        try:
            yield
        finally:
            unwatch()


def _instant(value: int | str) -> int:
    return parse_instant(value) if isinstance(value, str) else value
