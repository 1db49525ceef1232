"""When a repetition would come round, before anything is stored: what `_next` and `after next` tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from msgspec import Struct

from after.dates import format_instant
from after.errors import BadRequest, InvalidTask
from after.recurrence import Rule, parse_zone, rule
from after.repeat import Repeat
from after.task import converted

MAX_COUNT = 1_000
DEFAULT_COUNT = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Occurrence(Struct, frozen=True):
    """An instant of a repetition, in ms; what a clock in its zone shows then; and what the clocks did to it."""

    at: int
    local: str
    note: str | None


class _Given(Struct):
    repeat: str | Repeat


def read(repeat: Any) -> str | Repeat:
    """Check the shape of a `repeat` as it was given; raise `InvalidTask`. What it says is checked by its rule."""
    if repeat is None:
        raise InvalidTask("repeat", "is required")
    return converted({"repeat": repeat}, _Given).repeat  # type: ignore[no-any-return]


def occurrences(repeat: str | Repeat, start: int, count: int = DEFAULT_COUNT) -> list[Occurrence]:
    """Give up to `count` occurrences at the instant `start` or later; raise `InvalidTask` for a wrong repeat.

    `start` is the date of the task, which intervals are counted from; a repeat with a start of its own is counted from
    that, and those before `start` are left out. They are nominal instants: what `jitter` adds is not in them.
    """
    if not 1 <= count <= MAX_COUNT:
        raise BadRequest(f"count: expected a number from 1 to {MAX_COUNT}, got {count!r}")
    series = rule(repeat, start)
    zone = zone_of(repeat)
    found: list[Occurrence] = []
    before = start - 1
    for at in _from(series, start):
        if len(found) == count:
            break
        found.append(Occurrence(at, _local(at, zone), series.note(before, at)))
        before = at
    return found


def _from(series: Rule, start: int) -> Iterator[int]:
    """Give the occurrences at an instant or later, as many as the limit leaves."""
    first = series.first()
    if first is None:
        return
    here: int | None = first
    left = series.limit
    if first < start:
        here = series.next(start - 1)
        if left is not None:
            gone = series.count(first, start - 1, left)
            left = 0 if gone is None else max(left - gone, 0)
    while here is not None and left != 0:
        yield here
        left = None if left is None else max(left - 1, 0)
        here = series.next(here)


def zone_of(repeat: str | Repeat) -> tzinfo:
    """Give the time zone that a repeat lives in."""
    return UTC if isinstance(repeat, str) else parse_zone(repeat.timezone or "UTC")


def told(found: list[Occurrence]) -> dict[str, list[str]]:
    """Give occurrences as `GET /tasks/_next` answers."""
    return {"next": [format_instant(one.at) for one in found]}


def _local(at: int, zone: tzinfo) -> str:
    """Give an instant as a clock in a zone shows it, with its offset from UTC."""
    try:
        local = (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)
    except OverflowError:
        return format_instant(at)
    return local.isoformat(" ", "milliseconds" if local.microsecond else "seconds")
