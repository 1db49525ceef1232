"""Time behind one protocol: the wall clock for what is stored, the monotonic clock for waiting.

Here is also the alarm that wakes an event loop, because event loops wait in whole milliseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where After reads the time; `after.testing.TurnableClock` is the one that tests turn by hand."""

    def time(self) -> float:
        """Give the wall clock in seconds since the Unix epoch; it may jump either way."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never run backwards, from an arbitrary start."""
        ...

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever the clock was turned, and give the function that ends the watching.

        The callback may come from any thread, so it must be short and safe to call there.
        """
        ...


class SystemClock:
    """The clock of this machine. It has no state."""

    def time(self) -> float:
        """Give the wall clock in seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Give `time.monotonic()`."""
        return time.monotonic()

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Watch nothing: no portable signal tells that the wall clock was set.

        Who waits for a date therefore looks at the wall clock at least once a second.
        """
        return _nothing


def now(clock: Clock) -> int:
    """Give the wall clock as an instant, rounded down, so that nothing that waits for an instant is ever early."""
    return math.floor(clock.time() * 1000)


class Alarm(Protocol):
    """Calls its callback on an event loop once a delay is over; it may be a little early, never forgets."""

    def set(self, delay: float) -> None:
        """Ring in `delay` seconds; this replaces the delay that was set before."""
        ...

    def close(self) -> None:
        """Ring no more."""
        ...


def alarm(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Alarm:
    """Make the most precise alarm that the platform has.

    asyncio on Linux rounds a delay up to whole milliseconds and uvloop rounds it either way. Waking early and taking
    turns on the loop until the date is as precise as a kernel timer, but keeps a processor busy for half a millisecond
    each time, and all the time where tasks are due every millisecond. A thread that waits and calls the loop needs
    two switches of thread. A kernel timer is a file descriptor that the loop already knows how to wait for.
    """
    if sys.platform == "linux" and sys.maxsize > 2**32:
        try:
            return KernelAlarm(loop, callback)
        except (OSError, AttributeError, NotImplementedError):
            pass  # the C library or the sandbox has no timers, or the loop has no readers
    return LoopAlarm(loop, callback)


class LoopAlarm:
    """An alarm by the loop's own timers: precise with kqueue, to a millisecond elsewhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self, delay: float) -> None:
        """Ring in `delay` seconds."""
        self.close()
        self._handle = self._loop.call_later(delay, self._callback)

    def close(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()


class KernelAlarm:
    """An alarm by timerfd_create(2), which Python itself offers only from 3.13 on. Linux, 64 bits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self._loop = loop
        self._callback = callback
        # struct itimerspec: interval seconds and nanoseconds, value seconds and nanoseconds
        self._delay = (ctypes.c_long * 4)()
        self._file = library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        try:
            loop.add_reader(self._file, self._ring)
        except BaseException:
            os.close(self._file)
            raise

    def set(self, delay: float) -> None:
        """Ring in `delay` seconds."""
        # A delay of zero would disarm the timer.
        self._delay[2], self._delay[3] = divmod(max(1, math.ceil(delay * 1e9)), 1_000_000_000)
        self._settime(self._file, 0, self._delay, None)

    def close(self) -> None:
        """Ring no more."""
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # set anew after the loop had seen it ring
        self._callback()


def _nothing() -> None:
    pass
