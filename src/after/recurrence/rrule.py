"""Recurrence rules of RFC 5545: their nominal times, forwards and backwards, at the same cost wherever they started.

A rule stands for the nominal times of a grid (its BY parts; what they leave open is taken from the start) that lie in
every INTERVAL-th period (years, months, weeks … by FREQ), and BYSETPOS picks some of those in each period.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache

from after.recurrence.fields import Fields, Frequency, Weekday, parse
from after.recurrence.grid import DAY_SECONDS, Days, Grid, Times
from after.recurrence.zones import from_nominal, to_nominal

_LENGTHS = {"WEEKLY": 7 * DAY_SECONDS, "DAILY": DAY_SECONDS, "HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
_EPOCH = date(1970, 1, 1)

_STEPS = 10_000
"""After so many periods in vain a rule is taken to have no more occurrences: most of those repeat themselves sooner."""


class RRule:
    """The nominal times, in ms, of a recurrence rule."""

    elapsed = False

    def __init__(self, text: str, start: int) -> None:
        """Read a rule that begins at a nominal time; raises `ValueError` with what is wrong."""
        fields = parse(text)
        shown = from_nominal(start)
        self._start = start
        self._fraction = 0 if fields.seconds else start % 1000
        filled = _filled(fields, shown)
        self._interval, self._positions = fields.interval, fields.positions
        self._periods = _Periods(fields.frequency, shown, fields.week_start)
        times = Times(filled.hours or range(24), filled.minutes or range(60), filled.seconds or range(60))
        self._grid = Grid(_days(filled._replace(until=None, number=None, hours=(), minutes=(), seconds=())), times)
        self.until = fields.until
        self._last: int | None = None
        if self._grid.at_or_after(0) is None:
            raise ValueError("it never occurs")
        if fields.number is not None:
            self._last = self._nth(fields.number)

    def after(self, nominal: int) -> int | None:
        """Give the first nominal time strictly later; None where there is none."""
        second = self._search((max(nominal + 1, self._start) - self._fraction + 999) // 1000)
        found = None if second is None else second * 1000 + self._fraction
        return found if found is None or self._last is None or found <= self._last else None

    def up_to(self, nominal: int) -> int | None:
        """Give the last nominal time that is not later; None where there is none since the start."""
        latest = nominal if self._last is None else min(nominal, self._last)
        second = self._search_back((latest - self._fraction) // 1000)
        found = None if second is None else second * 1000 + self._fraction
        return found if found is not None and found >= self._start else None

    def _nth(self, count: int) -> int | None:
        """Give the last one of so many; None where the calendar ends before it."""
        found: int | None = self._start - 1
        for _ in range(count):
            found = None if found is None else self.after(found)
        return found

    def _search(self, second: int) -> int | None:
        for _ in range(_STEPS):
            found = self._grid.at_or_after(second)
            if found is None:
                return None
            period = self._periods.number(found)
            aside = period % self._interval
            if not aside:
                if not self._positions:
                    return found
                chosen = [one for one in self._chosen(period) if one >= second]
                if chosen:
                    return chosen[0]
            following = self._periods.start(period + self._interval - aside)
            if following is None:
                return None
            second = following
        return None

    def _search_back(self, second: int) -> int | None:
        for _ in range(_STEPS):
            found = self._grid.at_or_before(second)
            if found is None or found * 1000 + 1000 < self._start:
                return None
            period = self._periods.number(found)
            aside = period % self._interval
            if not aside:
                if not self._positions:
                    return found
                chosen = [one for one in self._chosen(period) if one <= second]
                if chosen:
                    return chosen[-1]
                aside = self._interval
            end = self._periods.start(period - aside + 1)
            if end is None:
                return None
            second = end - 1
        return None

    def _chosen(self, period: int) -> list[int]:
        """Give what BYSETPOS picks in a period."""
        first, end = self._periods.start(period), self._periods.start(period + 1)
        if first is None:
            return []
        if end is None:
            end = (date.max - _EPOCH).days * DAY_SECONDS + DAY_SECONDS
        day, low = divmod(first, DAY_SECONDS)
        times = self._grid.times
        if end - first < DAY_SECONDS:
            days, low, size = [day], times.rank(low), times.rank(low + end - first) - times.rank(low)
        else:
            days, low, size = self._grid.days.between(day, end // DAY_SECONDS), 0, len(times)
        total = len(days) * size
        indices = {place - 1 if place > 0 else total + place for place in self._positions}
        return [
            days[index // size] * DAY_SECONDS + times.nth(low + index % size)
            for index in sorted(indices)
            if 0 <= index < total
        ]


class _Periods:
    """The periods of a frequency, numbered from the one that the start is in."""

    def __init__(self, frequency: Frequency, start: datetime, week_start: int) -> None:
        self._frequency = frequency
        self._length = _LENGTHS.get(frequency, 0)
        self._first = start.year * 12 + start.month - 1
        if frequency == "WEEKLY":
            day = start.date().toordinal() - (start.weekday() - week_start) % 7
            self._origin = (day - _EPOCH.toordinal()) * DAY_SECONDS
        elif self._length:
            self._origin = to_nominal(start) // 1000 // self._length * self._length

    def number(self, second: int) -> int:
        """Give the number of the period that a nominal time is in."""
        if self._length:
            return (second - self._origin) // self._length
        day = _EPOCH + timedelta(days=second // DAY_SECONDS)
        months = day.year * 12 + day.month - 1
        return months - self._first if self._frequency == "MONTHLY" else day.year - self._first // 12

    def start(self, number: int) -> int | None:
        """Give the first second of a period; None outside the calendar."""
        if self._length:
            return self._origin + number * self._length
        months = self._first + number if self._frequency == "MONTHLY" else (self._first // 12 + number) * 12
        if not 12 <= months < 120_000:
            return None
        return (date(months // 12, months % 12 + 1, 1) - _EPOCH).days * DAY_SECONDS


def _filled(fields: Fields, start: datetime) -> Fields:
    """Take from the start what the rule leaves open."""
    frequency = fields.frequency
    if not (fields.weeks or fields.year_days or fields.month_days or fields.weekdays):
        if frequency == "YEARLY":
            fields = fields._replace(months=fields.months or (start.month,), month_days=(start.day,))
        elif frequency == "MONTHLY":
            fields = fields._replace(month_days=(start.day,))
        elif frequency == "WEEKLY":
            fields = fields._replace(weekdays=(Weekday(0, start.weekday()),))
    coarse = frequency in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
    return fields._replace(
        hours=fields.hours or ((start.hour,) if coarse else ()),
        minutes=fields.minutes or ((start.minute,) if coarse or frequency == "HOURLY" else ()),
        seconds=fields.seconds or ((start.second,) if frequency != "SECONDLY" else ()),
    )


@lru_cache(maxsize=1024)
def _days(fields: Fields) -> Days:
    """Give the days of a rule, once for all tasks that have the same."""
    tests: list[Callable[[date], bool]] = []
    if fields.months:
        tests.append(lambda day: day.month in fields.months)
    if fields.month_days:
        tests.append(lambda day: _counts(day.day, monthrange(day.year, day.month)[1], fields.month_days))
    if fields.year_days:
        tests.append(lambda day: _counts(_day_of_year(day), _year_length(day), fields.year_days))
    if fields.weeks:
        tests.append(lambda day: _counts(*_week(day, fields.week_start), fields.weeks))
    if fields.weekdays:
        in_year = fields.frequency == "YEARLY" and not fields.months
        tests.append(lambda day: any(_is_weekday(day, one, in_year) for one in fields.weekdays))
    return Days((lambda day: all(test(day) for test in tests)) if tests else None)


def _counts(number: int, of: int, wanted: tuple[int, ...]) -> bool:
    """Tell whether a number is wanted, counted from the front or from the end."""
    return number in wanted or number - of - 1 in wanted


def _day_of_year(day: date) -> int:
    return day.timetuple().tm_yday


def _year_length(day: date) -> int:
    return _day_of_year(day.replace(month=12, day=31))


def _week(day: date, week_start: int) -> tuple[int, int]:
    """Give a day's week and how many weeks its year has; the first has at least four days in the year."""
    # The middle of a week lies in the year that the week belongs to.
    middle = day + timedelta(days=3 - (day.weekday() - week_start) % 7)
    last = date(middle.year, 12, 28)
    last_middle = last + timedelta(days=3 - (last.weekday() - week_start) % 7)
    return (_day_of_year(middle) - 1) // 7 + 1, (_day_of_year(last_middle) - 1) // 7 + 1


def _is_weekday(day: date, wanted: Weekday, in_year: bool) -> bool:
    """Tell whether a day is the wanted one of its month, or of its year."""
    if day.weekday() != wanted.day:
        return False
    if not wanted.nth:
        return True
    number, length = (
        (_day_of_year(day), _year_length(day)) if in_year else (day.day, monthrange(day.year, day.month)[1])
    )
    return wanted.nth in ((number - 1) // 7 + 1, -((length - number) // 7 + 1))
