"""Nominal times that are days with certain properties and, on each of these days, the same times of day.

Seconds are counted from 1970-01-01T00:00, days likewise; both by the clock of a zone, not in UTC.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import date

DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal() - _EPOCH


class Times:
    """Times of day, in seconds: every combination of certain hours, minutes and seconds."""

    def __init__(self, hours: Iterable[int], minutes: Iterable[int], seconds: Iterable[int]) -> None:
        self._hours, self._minutes, self._seconds = sorted(hours), sorted(minutes), sorted(seconds)
        self._in_hour = len(self._minutes) * len(self._seconds)

    def __len__(self) -> int:
        return len(self._hours) * self._in_hour

    def rank(self, second: int) -> int:
        """Give how many of the times are earlier."""
        hour, rest = divmod(second, 3600)
        index = bisect_left(self._hours, hour)
        rank = index * self._in_hour
        if index < len(self._hours) and self._hours[index] == hour:
            minute, rest = divmod(rest, 60)
            index = bisect_left(self._minutes, minute)
            rank += index * len(self._seconds)
            if index < len(self._minutes) and self._minutes[index] == minute:
                rank += bisect_left(self._seconds, rest)
        return rank

    def nth(self, index: int) -> int:
        """Give a time by how many are earlier."""
        hour, rest = divmod(index, self._in_hour)
        minute, second = divmod(rest, len(self._seconds))
        return self._hours[hour] * 3600 + self._minutes[minute] * 60 + self._seconds[second]


class Days:
    """The days that a function says yes to: by the calendar only, not by the number of the year.

    The Gregorian calendar repeats itself after 400 years, so the function is asked about the years 2000 to 2399.
    """

    def __init__(self, matches: Callable[[date], bool] | None) -> None:
        """Take the days that match; without a function all days."""
        self._matches = matches
        # Years of the same length on the same weekdays are alike, also in their weeks if those before them are alike.
        self._years: dict[tuple[bool, bool, int], array[int]] = {}

    def at_or_after(self, day: int) -> int | None:
        """Give the first of the days that is not earlier; None where there is none in 400 years."""
        if self._matches is None:
            return day if day <= _LAST else None
        if day > _LAST:
            return None
        ordinal = day + _EPOCH
        first = date.fromordinal(max(ordinal, 1)).year
        for year in range(first, min(first + 401, date.max.year + 1)):
            start = date(year, 1, 1).toordinal()
            days = self._year(year)
            index = bisect_left(days, ordinal - start)
            if index < len(days):
                return start + days[index] - _EPOCH
        return None

    def at_or_before(self, day: int) -> int | None:
        """Give the last of the days that is not later; None where there is none in 400 years."""
        if self._matches is None:
            return day if day + _EPOCH >= 1 else None
        ordinal = day + _EPOCH
        if ordinal < 1:
            return None
        first = date.fromordinal(min(ordinal, date.max.toordinal())).year
        for year in range(first, max(first - 401, 0), -1):
            start = date(year, 1, 1).toordinal()
            days = self._year(year)
            index = bisect_left(days, ordinal - start + 1)
            if index:
                return start + days[index - 1] - _EPOCH
        return None

    def between(self, first: int, end: int) -> list[int]:
        """Give the days from one to before another, both in the calendar."""
        if self._matches is None:
            return list(range(first, end))
        found: list[int] = []
        for year in range(date.fromordinal(first + _EPOCH).year, date.fromordinal(end - 1 + _EPOCH).year + 1):
            start, days = date(year, 1, 1).toordinal() - _EPOCH, self._year(year)
            found += [start + day for day in days[bisect_left(days, first - start) : bisect_left(days, end - start)]]
        return found

    def _year(self, year: int) -> array[int]:
        """Give the days of a year that match, as the number of days since its first."""
        alike = date(2000 + year % 400, 1, 1)
        start = alike.toordinal()
        before = date(1999 + year % 400, 1, 1).toordinal()
        length = date(alike.year + 1, 1, 1).toordinal() - start
        key = length == 366, start - before == 366, start % 7
        days = self._years.get(key)
        if days is None:
            assert self._matches is not None
            days = array("H", [day for day in range(length) if self._matches(date.fromordinal(start + day))])
            self._years[key] = days
        return days


class Grid:
    """Certain days with certain times on each."""

    def __init__(self, days: Days, times: Times) -> None:
        self.days, self.times = days, times

    def at_or_after(self, second: int) -> int | None:
        """Give the first nominal time that is not earlier; None where there is none in 400 years."""
        day, time = divmod(second, DAY_SECONDS)
        found = self.days.at_or_after(day)
        if found == day:
            rank = self.times.rank(time)
            if rank < len(self.times):
                return day * DAY_SECONDS + self.times.nth(rank)
            found = self.days.at_or_after(day + 1)
        return None if found is None else found * DAY_SECONDS + self.times.nth(0)

    def at_or_before(self, second: int) -> int | None:
        """Give the last nominal time that is not later; None where there is none in 400 years."""
        day, time = divmod(second, DAY_SECONDS)
        found = self.days.at_or_before(day)
        if found == day:
            rank = self.times.rank(time + 1)
            if rank:
                return day * DAY_SECONDS + self.times.nth(rank - 1)
            found = self.days.at_or_before(day - 1)
        return None if found is None else found * DAY_SECONDS + self.times.nth(len(self.times) - 1)
