"""Intervals: the occurrences that are a whole number of durations away from the first one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from after.dates import DAY, EARLIEST, LATEST, Duration
from after.recurrence.zones import nominal_at, resolve
from after.repeat import Dst

_MONTH = 30.436875 * DAY
"""The mean month of the Gregorian calendar, used only to guess where to look."""

_ASIDE = 2
"""How many durations a guess may be wrong by: offsets from UTC differ by less than two days, months in length by three,
and a calendar duration is a day at least."""


class Interval:
    """The occurrences `anchor + k * duration` for k = 0, 1, 2…, each counted from the anchor, not from the one before.

    Years, months, weeks and days are calendar units in `zone`: the nominal time stays the same, and a month that is
    too short for the day gives its last day. Hours, minutes and seconds are elapsed time.
    `dst` says what becomes of a nominal time that a change of the clocks leaves out, or that comes twice. Where two
    occurrences are one instant, as on a day that a zone skipped, they are one.
    """

    def __init__(self, duration: Duration, anchor: int, zone: tzinfo = UTC, dst: Dst | None = None) -> None:
        """Count from `anchor`, an instant; raises `ValueError` for a duration of zero or an anchor out of range."""
        months = duration.years * 12 + duration.months
        self._months, self._days, self._milliseconds = months, duration.days, duration.milliseconds
        if not (months or duration.days or duration.milliseconds):
            raise ValueError(f"'{duration}' is no interval, it never advances")
        if not EARLIEST <= anchor <= LATEST:
            raise ValueError(f"{anchor} is outside the years 0001 to 9999")
        self._anchor = anchor
        self.zone = zone
        self.dst = dst or Dst()
        self.calendar = bool(months or duration.days)
        self._length = int(months * _MONTH) + duration.days * DAY + duration.milliseconds
        if self.calendar:
            self._nominal = nominal_at(zone, anchor)

    def next(self, after: int) -> int | None:
        """Give the first occurrence strictly later than an instant; None where that is past the year 9999."""
        return self.at_or_after(after + 1)

    def at_or_after(self, instant: int) -> int | None:
        """Give the first occurrence at or after an instant; it takes the same time for every k."""
        if instant <= self._anchor:
            return self._anchor
        k = (instant - self._anchor) // self._length
        if not self.calendar:
            found = self._anchor + -((self._anchor - instant) // self._length) * self._length
            return found if found <= LATEST else None
        while (near := self._near(k)) is not None:
            later = [occurrence for occurrence in near if occurrence >= instant]
            if later:
                return min(later) if min(later) <= LATEST else None
            k += _ASIDE
        return None

    def at_or_before(self, instant: int) -> int | None:
        """Give the last occurrence at or before an instant; None before the anchor."""
        if instant < self._anchor:
            return None
        k = (instant - self._anchor) // self._length
        if not self.calendar:
            return self._anchor + k * self._length
        while True:
            earlier = [occurrence for occurrence in self._near(k) or () if occurrence <= instant]
            if earlier:
                return max(earlier)
            k -= _ASIDE

    @property
    def of_days(self) -> bool:
        """Whether the occurrences are nominal times, with nothing elapsed added to them."""
        return self.calendar and not self._milliseconds

    def back(self, occurrence: int, steps: int) -> int | None:
        """Give the occurrence so many before another where it can be computed, None where not."""
        return None if self.calendar else max(self._anchor, occurrence - steps * self._length)

    def count(self, first: int, last: int) -> int | None:
        """Give the number of occurrences from one to another where it can be computed, None where not."""
        return None if self.calendar else (last - first) // self._length + 1

    def shown(self, first: int, last: int) -> list[datetime]:
        """Give the nominal times of occurrences from about one instant to about another, a thousand at most."""
        low = max(1, (first - self._anchor) // self._length - _ASIDE)
        high = (last - self._anchor) // self._length + _ASIDE
        found = (self._shown(k) for k in range(max(low, high - 1000), high + 1))
        return [shown for shown in found if shown is not None]

    def _near(self, k: int) -> list[int] | None:
        """Give the occurrences that are about the k-th, in no order; None where the calendar has ended."""
        if k - _ASIDE > 0 and self._shown(k - _ASIDE) is None:
            return None
        near = [self._anchor] if k <= _ASIDE else []
        for number in range(max(1, k - _ASIDE), k + _ASIDE + 1):
            shown = self._shown(number)
            if shown is None:
                break
            try:
                found = resolve(shown, self.zone, self.dst)
            except OverflowError:
                break
            near += [one + number * self._milliseconds for one in found if one > self._anchor]
        return near

    def _shown(self, k: int) -> datetime | None:
        """Give the k-th occurrence by the clock, its elapsed time left out; None where the calendar has ended."""
        try:
            return _add_months(self._nominal, k * self._months) + timedelta(days=k * self._days)
        except OverflowError:
            return None


def _add_months(date: datetime, months: int) -> datetime:
    """Add calendar months to a naive date; the day is cut to the length of the month."""
    if not months:
        return date
    years, month = divmod(date.month - 1 + months, 12)
    year = date.year + years
    if year > 9999:
        raise OverflowError("past the year 9999")
    return date.replace(year=year, month=month + 1, day=min(date.day, _days(year, month + 1)))


def _days(year: int, month: int) -> int:
    """Give the number of days of a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
