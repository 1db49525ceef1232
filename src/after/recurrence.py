"""When a repetition comes round: nominal times live in a time zone, instants in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from after.dates import DAY, EARLIEST, LATEST, Duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NEVER = LATEST + 1

_MONTH = 30.436875 * DAY
"""The mean month of the Gregorian calendar, used only to guess where to look."""


def parse_zone(name: str) -> tzinfo:
    """Give the time zone of an IANA name; raises `ValueError` where there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone") from None


class Interval:
    """The occurrences `anchor + k * duration` for k = 0, 1, 2…, each counted from the anchor, not from the one before.

    Years, months, weeks and days are calendar units in `zone`: the nominal time stays the same, and a month that is
    too short for the day gives its last day. Hours, minutes and seconds are elapsed time.
    A nominal time that a change of the clocks leaves out is moved forward by the length of the gap, and one that
    comes twice stands for its first instant (RFC 5545, section 3.3.5). Where that makes two occurrences one instant,
    as on a day that a zone skipped, they are one.
    """

    def __init__(self, duration: Duration, anchor: int, zone: tzinfo = UTC) -> None:
        """Count from `anchor`, an instant; raises `ValueError` for a duration of zero or an anchor out of range."""
        months = duration.years * 12 + duration.months
        self._months, self._days, self._milliseconds = months, duration.days, duration.milliseconds
        if not (months or duration.days or duration.milliseconds):
            raise ValueError(f"'{duration}' is no interval, it never advances")
        if not EARLIEST <= anchor <= LATEST:
            raise ValueError(f"{anchor} is outside the years 0001 to 9999")
        self._anchor = anchor
        self._zone = zone
        self._calendar = bool(months or duration.days)
        self._length = int(months * _MONTH) + duration.days * DAY + duration.milliseconds
        if self._calendar:
            try:
                self._nominal = (_EPOCH + anchor * _MILLISECOND).astimezone(zone).replace(tzinfo=None)
            except OverflowError:
                raise ValueError(f"{anchor} is outside the years 0001 to 9999 in {zone}") from None

    def next(self, after: int) -> int:
        """Give the first occurrence strictly later than the instant `after`; it takes the same time for every k.

        Raises `OverflowError` where that is past the year 9999.
        """
        if after < self._anchor:
            return self._anchor
        k = (after - self._anchor) // self._length
        if not self._calendar:
            found = self._anchor + (k + 1) * self._length
        else:
            while k > 0 and self._occurrence(k - 1) > after:
                k -= 1
            while (found := self._occurrence(k)) <= after:
                k += 1
        if found > LATEST:
            raise OverflowError("the next occurrence is past the year 9999")
        return found

    def _occurrence(self, k: int) -> int:
        """Give the k-th occurrence, or an instant past the last one where the calendar has ended."""
        if k == 0:
            return self._anchor
        try:
            nominal = _add_months(self._nominal, k * self._months) + timedelta(days=k * self._days)
            return _resolve(nominal, self._zone) + k * self._milliseconds
        except OverflowError:
            return _NEVER


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


def _resolve(nominal: datetime, zone: tzinfo) -> int:
    """Give the instant of a nominal time.

    `fold=0` is the offset before a change of the clocks: for a time that exists twice this is the first instant,
    and for one that does not exist it is the time as far after the gap as it is after the gap's beginning (PEP 495).
    """
    return (nominal.replace(tzinfo=zone, fold=0) - _EPOCH) // _MILLISECOND
