"""The timers of a scheduler, as a data structure: no clock, no thread, no event loop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from msgspec import Struct


class Home(Protocol):
    """What a timer belongs to, and what it asks to be dropped or moved."""

    def cancel(self, timer: Timer) -> bool:
        """Drop a timer; False where it had fired or was dropped before."""
        ...

    def reschedule(self, timer: Timer, date: datetime | str | int) -> bool:
        """Move a timer; False where it had fired or was dropped before."""
        ...


class Timer(Struct, eq=False, gc=False):
    """A function that is to be called with its arguments at `date`, an instant.

    The garbage collector is told not to look at timers (`gc=False`): with a million of them its passes would take as
    long as all else together. They are in reference cycles only while they wait in a `Timers`, which undoes those.
    """

    date: int
    function: Callable[..., object] | None
    arguments: tuple[Any, ...]
    home: Home
    # Timers of one tick form a list. The first one's `previous` is the last one, or None where it is alone,
    # so that appending needs no more than the first and a lone timer is no reference cycle.
    next: Timer | None = None
    previous: Timer | None = None

    @property
    def pending(self) -> bool:
        """Whether the function is still to be called."""
        return self.function is not None

    def cancel(self) -> bool:
        """Drop the timer; False where it had fired or was dropped before. A call that has begun is not stopped."""
        return self.home.cancel(self)

    def reschedule(self, date: datetime | str | int) -> bool:
        """Move the timer to another date; False where it had fired or was dropped before.

        Raises `ValueError` where `date` is not an ISO 8601 date.
        """
        return self.home.reschedule(self, date)

    def drop(self) -> None:
        """Forget what was to be called, and so what that keeps in memory."""
        self.function = None
        self.arguments = ()

    def begin(self, now: int) -> None:
        """Note that the function is called at the instant `now`; it is the only time."""
        self.drop()


class Series(Protocol):
    """The instants at which a timer fires."""

    def next(self, after: int) -> int | None:
        """Give the first one strictly later; None where there is none."""
        ...


class RepeatingTimer(Timer, kw_only=True, eq=False, gc=False):
    """A timer that is inserted anew after each call, with the `date` that it got when the call began."""

    series: Series

    def begin(self, now: int) -> None:
        """Set `date` to the occurrence after `now`, so that all that were missed are made up for by this call."""
        following = self.series.next(now)
        if following is None:
            self.drop()
        else:
            self.date = following


class Timers:
    """Timers in order of date: a heap of ticks, and for each tick the list of its timers.

    A tick is the first multiple of `resolution` (milliseconds) not before a timer's date, so no timer is ever early;
    timers that share a tick share its one entry in the heap and are due together, in the order of their insertion.
    A dropped timer leaves its list at once. Its tick stays in the heap as a number that stands for nothing,
    until such numbers are more than half of the heap.
    """

    __slots__ = ("_count", "_first", "_heap", "_resolution")

    def __init__(self, resolution: int = 1) -> None:
        """Make an empty structure; raises `ValueError` where `resolution` is not at least 1 ms."""
        if resolution < 1:
            raise ValueError(f"a resolution of {resolution} ms is less than 1 ms")
        self._resolution = resolution
        self._heap: list[int] = []
        self._first: dict[int, Timer] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def insert(self, timer: Timer) -> int:
        """Add a timer that is not in here, and give the tick at which it is due."""
        # With ticks of 1 ms the date's own integer serves as the key: no second one for each timer.
        tick = timer.date if self._resolution == 1 else self._tick(timer.date)
        first = self._first.setdefault(tick, timer)
        if first is timer:
            heappush(self._heap, tick)
        else:
            last = first.previous or first
            last.next = timer
            timer.previous = last
            first.previous = timer
        self._count += 1
        return tick

    def remove(self, timer: Timer) -> bool:
        """Take a timer out; False where it is not in here."""
        tick = self._tick(timer.date)
        first = self._first.get(tick)
        if timer is first:
            self._take_first(tick, timer)
            if len(self._heap) > 2 * len(self._first) + 64:
                self._compact()
            return True
        if first is None or timer.previous is None:
            return False
        timer.previous.next = timer.next
        (timer.next or first).previous = timer.previous if timer.next or timer.previous is not first else None
        timer.next = timer.previous = None
        self._count -= 1
        return True

    def pop_due(self, now: int) -> Timer | None:
        """Take out the first timer that is due at the instant `now`: in order of tick, then of insertion."""
        tick = self.next_due()
        if tick is None or tick > now:
            return None
        timer = self._first[tick]
        self._take_first(tick, timer)
        return timer

    def next_due(self) -> int | None:
        """Give the tick at which the next timer is due."""
        heap, first = self._heap, self._first
        while heap:
            if heap[0] in first:
                return heap[0]
            heappop(heap)
        return None

    def clear(self) -> None:
        """Drop all timers, also those that somebody else still holds."""
        first, self._first, self._heap, self._count = self._first, {}, [], 0
        for head in first.values():
            timer: Timer | None = head
            while timer is not None:
                following, timer.next, timer.previous = timer.next, None, None
                timer.drop()
                timer = following

    def _tick(self, date: int) -> int:
        return date + -date % self._resolution

    def _take_first(self, tick: int, timer: Timer) -> None:
        """Take the first timer of a tick out of its list."""
        self._count -= 1
        following = timer.next
        if following is None:
            del self._first[tick]
            if not self._first:
                # A dict never shrinks by deletion.
                self._first.clear()
                self._heap.clear()
            return
        following.previous = timer.previous if timer.previous is not following else None
        self._first[tick] = following
        timer.next = timer.previous = None

    def _compact(self) -> None:
        """Leave out the ticks that stand for nothing; copying also lets the dict shrink."""
        self._first = dict(self._first)
        self._heap = list(self._first)
        heapify(self._heap)
