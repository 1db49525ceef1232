"""Dates as code gives them: text, `datetime`, or a time from now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from after.dates import format_instant, parse_elapsed, parse_instant
from after.errors import InvalidTask
from after.task import checked

Date = str | datetime | timedelta
"""An instant as ISO 8601 or a datetime (UTC without a zone), or a time from now as ISO 8601 or a timedelta."""


def resolved(date: object, now: int) -> str:
    """Give a date as ISO 8601, a time from `now` as the instant that it means; raise `InvalidTask` for what is none."""
    if isinstance(date, str) and date.startswith("P"):
        date = timedelta(milliseconds=checked("date", parse_elapsed, date))
    if isinstance(date, timedelta):
        return format_instant(now + round(date.total_seconds() * 1000))
    if isinstance(date, datetime):
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).isoformat()
    if not isinstance(date, str):
        raise InvalidTask("date", f"expected `string`, got {type(date).__name__}")
    checked("date", parse_instant, date)
    return date


def is_instant(date: object) -> bool:
    """Tell whether a date was given as an instant: one relative to now is another each time it is resolved."""
    return isinstance(date, datetime) or (isinstance(date, str) and not date.startswith("P"))
