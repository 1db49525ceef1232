"""The text of a recurrence rule of RFC 5545, section 3.3.10, read into numbers."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Literal, NamedTuple, get_args

from after.dates import parse_instant

Frequency = Literal["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

MAX_INTERVAL = 1_000_000_000
MAX_COUNT = 10_000
"""COUNT is counted through when the rule is read; `limit` takes any number."""

_RANGES = {
    "BYSECOND": (0, 59), "BYMINUTE": (0, 59), "BYHOUR": (0, 23), "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366), "BYWEEKNO": (-53, 53), "BYSETPOS": (-366, 366),
}  # fmt: skip
_NOT_WITH = {
    "BYWEEKNO": ("MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"),
    "BYYEARDAY": ("MONTHLY", "WEEKLY", "DAILY"),
    "BYMONTHDAY": ("WEEKLY",),
}
_WEEKDAY = re.compile(rf"([+-]?[0-9]{{1,2}})?({'|'.join(WEEKDAYS)})")
_UNTIL = re.compile(r"[0-9]{8}(?:T[0-9]{6}Z?)?")


class Weekday(NamedTuple):
    """A weekday, Monday is 0, and which one of the month or the year, from its end where negative; 0 is each."""

    nth: int
    day: int


class Fields(NamedTuple):
    """The parts of a rule; an empty tuple is a part that is not there."""

    frequency: Frequency
    interval: int = 1
    number: int | None = None
    until: str | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


def parse(text: str) -> Fields:
    """Read a rule, with or without `RRULE:` before it; raises `ValueError` with what is wrong."""
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        outside = re.match("DTSTART|DTEND|TZID|EXDATE|RDATE|EXRULE", name)
        if outside:
            raise ValueError(f"{outside[0]} does not belong here: `date` is the start, `timezone` the zone")
        if not equals or not value:
            raise ValueError(f"{part!r:.40} is not of the form NAME=VALUE")
        if name in parts:
            raise ValueError(f"{name} is there twice")
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency not in get_args(Frequency):
        raise ValueError(f"FREQ must be one of {', '.join(get_args(Frequency))}")
    for name, forbidden in _NOT_WITH.items():
        if name in parts and frequency in forbidden:
            raise ValueError(f"{name} does not go with FREQ={frequency}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT does not go with UNTIL")
    return Fields(
        frequency=frequency,  # type: ignore[arg-type]  # mypy does not see through get_args
        interval=_number(parts.pop("INTERVAL", "1"), "INTERVAL", 1, MAX_INTERVAL),
        number=_number(parts.pop("COUNT"), "COUNT", 1, MAX_COUNT) if "COUNT" in parts else None,
        until=_until(parts.pop("UNTIL", None)),
        week_start=_week_start(parts.pop("WKST", "MO")),
        weekdays=_weekdays(parts.pop("BYDAY", ""), frequency, "BYWEEKNO" in parts),
        months=_numbers(parts, "BYMONTH"),
        month_days=_numbers(parts, "BYMONTHDAY"),
        year_days=_numbers(parts, "BYYEARDAY"),
        weeks=_numbers(parts, "BYWEEKNO"),
        hours=_numbers(parts, "BYHOUR"),
        minutes=_numbers(parts, "BYMINUTE"),
        seconds=_numbers(parts, "BYSECOND"),
        positions=_positions(parts),
    )


def _positions(parts: dict[str, str]) -> tuple[int, ...]:
    """Read what is left when all other parts were taken out."""
    chosen = _numbers(parts, "BYSETPOS")
    if parts:
        raise ValueError(f"{next(iter(parts))!r:.40} is not a part of a rule")
    return chosen


def _numbers(parts: dict[str, str], name: str) -> tuple[int, ...]:
    low, high = _RANGES[name]
    text = parts.pop(name, None)
    if text is None:
        return ()
    numbers = {_number(one, name, low, high) for one in text.split(",")}
    if low < 0 and 0 in numbers:
        raise ValueError(f"{name} has no 0")
    return tuple(sorted(numbers))


def _number(text: str, name: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not low <= int(text) <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {text!r:.40}")
    return int(text)


def _until(text: str | None) -> str | None:
    if text is None:
        return None
    with suppress(ValueError):
        if _UNTIL.fullmatch(text):
            parse_instant(text)
            return text
    raise ValueError(f"UNTIL must be like 20261231 or 20261231T090000Z, got {text!r:.40}")


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f"WKST must be one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _weekdays(text: str, frequency: str, by_week: bool) -> tuple[Weekday, ...]:
    found = set()
    for one in text.split(",") if text else ():
        match = _WEEKDAY.fullmatch(one)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            raise ValueError(f"BYDAY takes weekdays like MO, 1MO or -1FR, got {one!r:.40}")
        if match[1] and (frequency not in ("YEARLY", "MONTHLY") or by_week):
            raise ValueError(f"BYDAY={one}: a number goes only with FREQ=MONTHLY, or YEARLY without BYWEEKNO")
        found.add(Weekday(int(match[1] or 0), WEEKDAYS.index(match[2])))
    return tuple(sorted(found))
