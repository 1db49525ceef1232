"""The instants of nominal times: a calendar's times, seen through a zone whose clocks change."""

from __future__ import annotations

from datetime import tzinfo
from typing import Protocol

from after.dates import EARLIEST, LATEST
from after.recurrence.zones import REACH, Stretch, stretch_at
from after.repeat import Dst


class Calendar(Protocol):
    """Nominal times in ms, in order."""

    @property
    def elapsed(self) -> bool:
        """Whether the times follow elapsed time when the clocks change."""
        ...

    def after(self, nominal: int) -> int | None:
        """Give the first one strictly later; None where there is none."""
        ...

    def up_to(self, nominal: int) -> int | None:
        """Give the last one that is not later; None where there is none."""
        ...


class Zoned:
    """The instants of a calendar's times in a zone.

    In a stretch between two changes of the clocks, nominal times and instants are in the same order. So each stretch
    is looked at by itself, together with the times that its beginning left out and that were moved into it.
    """

    def __init__(self, calendar: Calendar, zone: tzinfo, dst: Dst) -> None:
        self.calendar, self.zone = calendar, zone
        # What follows elapsed time has no times in a gap, and in an overlap every one.
        self.dst = Dst("skip", "both") if calendar.elapsed else dst

    def next(self, after: int) -> int | None:
        """Give the first instant strictly later; None where there is none up to the year 9999."""
        return self.at_or_after(after + 1)

    def at_or_after(self, instant: int) -> int | None:
        """Give the first instant that is not earlier; None where there is none up to the year 9999."""
        while instant <= LATEST:
            here = stretch_at(self.zone, instant)
            found = self._first_in(here, instant)
            if found is not None:
                return found if found <= LATEST else None
            ahead = self.calendar.after(here.end + here.offset - REACH)
            if ahead is None:
                return None
            instant = max(here.end, ahead - here.offset - REACH)
        return None

    def at_or_before(self, instant: int) -> int | None:
        """Give the last instant that is not later; None where there is none from the year 1."""
        while instant >= EARLIEST:
            here = stretch_at(self.zone, instant)
            found = self._last_in(here, instant)
            if found is not None:
                return found
            behind = self.calendar.up_to(here.begin + here.offset + REACH)
            if behind is None:
                return None
            instant = min(here.begin - 1, behind - here.offset + REACH)
        return None

    def back(self, occurrence: int, steps: int) -> int | None:
        """Give the occurrence so many before another where it can be computed: it cannot."""
        return None

    def count(self, first: int, last: int) -> int | None:
        """Give the number of occurrences from one to another where it can be computed: it cannot."""
        return None

    def _first_in(self, here: Stretch, instant: int) -> int | None:
        begin, end = self._regular(here)
        nominal = self.calendar.after(max(instant, begin) + here.offset - 1)
        found = None if nominal is None or nominal - here.offset >= end else nominal - here.offset
        if self._moves_into(here):
            nominal = self.calendar.after(max(instant, here.begin) + here.earlier - 1)
            if nominal is not None and nominal < here.begin + here.offset:
                moved = nominal - here.earlier
                found = moved if found is None else min(found, moved)
        return found

    def _last_in(self, here: Stretch, instant: int) -> int | None:
        begin, end = self._regular(here)
        nominal = self.calendar.up_to(min(instant, end - 1) + here.offset)
        found = None if nominal is None or nominal - here.offset < begin else nominal - here.offset
        if self._moves_into(here):
            nominal = self.calendar.up_to(min(instant + here.earlier, here.begin + here.offset - 1))
            if nominal is not None and nominal >= here.begin + here.earlier:
                moved = nominal - here.earlier
                found = moved if found is None else max(found, moved)
        return found

    def _regular(self, here: Stretch) -> tuple[int, int]:
        """Give the part of a stretch whose nominal times are taken: an overlap belongs to one side, or to both."""
        begin, end = here.begin, here.end
        if self.dst.overlap == "first":
            begin += max(0, here.earlier - here.offset)
        elif self.dst.overlap == "second":
            end -= max(0, here.offset - here.later)
        return begin, end

    def _moves_into(self, here: Stretch) -> bool:
        return self.dst.gap == "shift" and here.earlier < here.offset
