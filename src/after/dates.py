"""Instants and durations: ISO 8601 text on the outside, integer milliseconds inside.

An instant is the number of milliseconds since the Unix epoch in UTC. Errors are `ValueError`s whose message
is a predicate ("'2026-13-01' is not an ISO 8601 date"), so that a caller can put the field's name before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC is implied: half the cost of an aware one when formatting
_MILLISECOND = timedelta(milliseconds=1)

EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""0001-01-01T00:00:00.000Z, the first instant that can be written."""
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""9999-12-31T23:59:59.999Z, the last instant that can be written."""

_LONGEST = 9_999 * 366 * DAY

_CALENDAR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
_OTHER_DATES = re.compile(r"(?:[0-9]{8}|[0-9]{4}-W[0-9]{2}-[0-9]|[0-9]{4}W[0-9]{3})(?:[T ].*)?")
_OFFSET = re.compile(r"[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:\.[0-9]+)?)?)?$")
_DURATION = re.compile(
    r"P(?=[0-9T])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?"
    r"(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:[.,]([0-9]+))?S)?)?"
)


def parse_instant(text: str) -> int:
    """Give the instant that an ISO 8601 date or date with time stands for, rounded down to the millisecond.

    A date alone is midnight, and no offset means UTC. The date must name a day: `2026-12-01`, `20261201`, or the
    week dates `2026-W49-2` and `2026W492`. The time follows `T` or a space, in any form that
    `datetime.fromisoformat` reads. Years are 0001 to 9999, also after the change to UTC.
    Raises `ValueError` for anything else.
    """
    if not isinstance(text, str):
        raise ValueError(f"{_quoted(text)} is not an ISO 8601 date")
    return _instant(text)


@lru_cache(maxsize=8192)  # a task's date is read again with each of its revisions
def _instant(text: str) -> int:
    try:
        # Nearly every date has this form, and three comparisons cost a third of a regular expression.
        usual = text[4] == "-" and text[7] == "-" and (len(text) == 10 or text[10] == "T")
        if usual or _CALENDAR.fullmatch(text) or _OTHER_DATES.fullmatch(text):
            date = datetime.fromisoformat(text)
            if date.tzinfo is not None and text[-1] not in "Zz" and not _OFFSET.search(text):
                raise ValueError("fromisoformat takes 99 minutes in an offset for what they are not")
            ms = (date - (_NAIVE_EPOCH if date.tzinfo is None else _EPOCH)) // _MILLISECOND
            if EARLIEST <= ms <= LATEST:
                return ms
    except (ValueError, TypeError, LookupError):
        pass
    raise ValueError(f"{_quoted(text)} is not an ISO 8601 date")


@lru_cache(maxsize=8192)  # what is written in one request bears one instant; a series' start is told with each run
def format_instant(ms: int) -> str:
    """Give an instant as text, always of the form `2026-12-01T09:00:00.000Z`.

    Raises `ValueError` for an instant outside the years 0001 to 9999.
    """
    seconds, rest = divmod(ms, SECOND)
    try:
        return f"{_format_seconds(seconds)}.{rest:03}Z"
    except OverflowError:
        raise ValueError(f"{ms} is outside the years 0001 to 9999") from None


@lru_cache(maxsize=256)  # most instants are near now, and a thousand of them share this
def _format_seconds(seconds: int) -> str:
    return (_NAIVE_EPOCH + timedelta(seconds=seconds)).isoformat("T", "seconds")


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in the parts that ISO 8601 keeps apart; weeks are given as days.

    Years, months and days are calendar units, whose length depends on where they start;
    `milliseconds` holds the hours, minutes and seconds, which are elapsed time.
    """

    years: int = 0
    months: int = 0
    days: int = 0
    milliseconds: int = 0

    def __str__(self) -> str:
        """Give the duration in ISO 8601, without the parts that are zero."""
        hours, rest = divmod(self.milliseconds, HOUR)
        minutes, rest = divmod(rest, MINUTE)
        seconds = f"{rest // SECOND}.{rest % SECOND:03}".rstrip("0").rstrip(".") if rest else 0
        date = "".join(f"{n}{unit}" for n, unit in ((self.years, "Y"), (self.months, "M"), (self.days, "D")) if n)
        time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
        return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def parse_duration(text: str) -> Duration:
    """Read an ISO 8601 duration, `PnYnMnWnDTnHnMnS`: at least one part, in this order, none negative.

    Weeks may stand beside other parts (ISO 8601-2). Only seconds take decimals, after a dot or a comma, rounded
    down to the millisecond. Raises `ValueError` for anything else, and for more than 9999 years.
    """
    try:
        match = _DURATION.fullmatch(text) if len(text) <= 100 else None
    except TypeError:
        match = None
    if match is None:
        raise ValueError(f"{_quoted(text)} is not an ISO 8601 duration")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:7])
    fraction = int((match[8] or "")[:3].ljust(3, "0"))
    duration = Duration(years, months, weeks * 7 + days, hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction)
    if (duration.years * 366 + duration.months * 31 + duration.days) * DAY + duration.milliseconds > _LONGEST:
        raise ValueError(f"{_quoted(text)} is longer than 9999 years")
    return duration


def elapsed(duration: Duration) -> int:
    """Give a duration in milliseconds, its days as 24 hours each.

    Raises `ValueError` where it has years or months, which have no fixed length.
    """
    if duration.years or duration.months:
        raise ValueError(f"'{duration}' has no fixed length; use days, hours, minutes or seconds")
    return duration.days * DAY + duration.milliseconds


def parse_elapsed(text: str) -> int:
    """Read an ISO 8601 duration of fixed length and give it in milliseconds; raises `ValueError`."""
    return elapsed(parse_duration(text))


def format_duration(ms: int) -> str:
    """Give elapsed milliseconds as an ISO 8601 duration of hours, minutes and seconds, such as `PT36H0.5S`.

    Days are not used, because a day of a recurrence is a calendar unit and this is not.
    Raises `ValueError` where `ms` is negative.
    """
    if ms < 0:
        raise ValueError(f"{ms} ms is a negative duration")
    return str(Duration(milliseconds=ms))


def _quoted(value: object) -> str:
    """Show a value in an error message, cut where somebody sent a whole book."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
