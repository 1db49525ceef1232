"""Time zones: where their clocks change, and which instants a nominal time stands for.

A nominal time is what a clock in the zone shows: milliseconds since 1970-01-01T00:00 by that clock. A time that a
change of the clocks leaves out is in a gap, and one that comes twice is in an overlap.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from after.dates import DAY, EARLIEST, LATEST
from after.repeat import Dst

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - nominal times have no zone
_MILLISECOND = timedelta(milliseconds=1)
_NOT_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Names that a machine's folder of zones may have, but that name no zone, or count leap seconds."""

REACH = 2 * DAY
"""More than any two offsets from UTC can differ."""

_BLOCK = 64 * DAY
_SAMPLE = 2 * DAY
"""No zone changes its clocks twice in so short a time (the least is 95 hours, in Freetown in 1939), so that looking
this often finds every change."""


class Change(NamedTuple):
    """A change of a zone's clocks: the instant, and the offsets from UTC in ms before and after it."""

    at: int
    before: int
    after: int


class Stretch(NamedTuple):
    """A time in which the offset from UTC stays the same, and the offsets on both sides of it."""

    begin: int
    end: int
    earlier: int
    offset: int
    later: int


def parse_zone(name: str) -> tzinfo:
    """Give the time zone of an IANA name; raises `ValueError` where there is none."""
    if name == "UTC":
        return UTC
    try:
        if name.startswith(_NOT_ZONES):
            raise ValueError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise ValueError(f"{name!r:.80} is not an IANA time zone") from None


def offset_at(zone: tzinfo, instant: int) -> int:
    """Give a zone's offset from UTC in ms; beyond the ends of the calendar it is that of the last day in it."""
    moment = min(max(instant, EARLIEST + DAY), LATEST - DAY)
    offset = (_EPOCH + moment * _MILLISECOND).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // _MILLISECOND


@lru_cache(maxsize=8192)
def _changes(zone: tzinfo, block: int) -> tuple[Change, ...]:
    """Give the changes from two days before a block to two days after it, in order."""
    found = []
    first, last = block * _BLOCK - REACH, (block + 1) * _BLOCK + REACH
    before = offset_at(zone, first)
    for sample in range(first + _SAMPLE, last + 1, _SAMPLE):
        after = offset_at(zone, sample)
        if after != before:
            low, high = (sample - _SAMPLE) // 1000, sample // 1000
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_at(zone, middle * 1000) == before else (low, middle)
            found.append(Change(high * 1000, before, after))
            before = after
    return tuple(found)


def stretch_at(zone: tzinfo, instant: int) -> Stretch:
    """Give the stretch around an instant; one of many weeks is cut, a day away from any change at least."""
    block = instant // _BLOCK
    begin, end = block * _BLOCK - DAY, (block + 1) * _BLOCK + DAY
    last: Change | None = None
    following: Change | None = None
    for change in _changes(zone, block):
        if change.at > instant:
            following, end = change, change.at
            break
        last, begin = change, change.at
    offset = last.after if last else following.before if following else offset_at(zone, instant)
    return Stretch(begin, end, last.before if last else offset, offset, following.after if following else offset)


def nominal_at(zone: tzinfo, instant: int) -> datetime:
    """Give what a clock in the zone shows, without its zone; raises `ValueError` outside the years 0001 to 9999."""
    try:
        return (_EPOCH + instant * _MILLISECOND).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"{instant} is outside the years 0001 to 9999 in {zone}") from None


def to_nominal(shown: datetime) -> int:
    """Give what a clock shows as a number."""
    return (shown - _NAIVE_EPOCH) // _MILLISECOND


def from_nominal(nominal: int) -> datetime:
    """Give what a clock shows, of a number."""
    return _NAIVE_EPOCH + nominal * _MILLISECOND


def resolve(shown: datetime, zone: tzinfo, dst: Dst) -> tuple[int, ...]:
    """Give the instants of a nominal time in order: none, one or two.

    `fold=0` is read with the offset before a change of the clocks and `fold=1` with the one after it (PEP 495).
    So for a time in a gap `fold=0` is the time as far after the gap as it is after the gap's beginning.
    """
    first = (shown.replace(tzinfo=zone, fold=0) - _EPOCH) // _MILLISECOND
    if zone is UTC:
        return (first,)
    second = (shown.replace(tzinfo=zone, fold=1) - _EPOCH) // _MILLISECOND
    if second == first:
        return (first,)
    if second < first:
        return (first,) if dst.gap == "shift" else ()
    if dst.overlap == "both":
        return (first, second)
    return (first,) if dst.overlap == "first" else (second,)
