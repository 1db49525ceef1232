"""What a change of the clocks did to a series, in words for the history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

from after.dates import DAY, format_duration
from after.recurrence.interval import Interval
from after.recurrence.zoned import Zoned
from after.recurrence.zones import Change, from_nominal, stretch_at, to_nominal

_MOST = 500
"""Stretches between changes of the clocks that are looked at, some decades."""


def note(series: Interval | Zoned, after: int, occurrence: int) -> str | None:
    """Tell what the clocks did to the occurrences later than `after`, up to `occurrence`; None where nothing."""
    if series.zone is UTC or (isinstance(series, Interval) and not series.of_days):
        return None
    sentences = [
        sentence
        for change in _changes(series.zone, after - DAY, occurrence + DAY)
        if (sentence := _sentence(series, change, after, occurrence))
    ]
    return "; ".join(sentences[-3:]) or None


def _changes(zone: tzinfo, first: int, last: int) -> Iterator[Change]:
    """Give the changes of a zone's clocks in order."""
    instant = first
    for _ in range(_MOST):
        here = stretch_at(zone, instant)
        if here.offset != here.earlier:
            yield Change(here.begin, here.earlier, here.offset)
        if here.end > last:
            return
        instant = here.end


def _sentence(series: Interval | Zoned, change: Change, after: int, occurrence: int) -> str | None:
    """Tell what one change did. What it left out or doubled is told once, with the first occurrence after it."""
    at, before, offset = change
    gap = offset > before
    dst = series.dst
    low, high = at + min(before, offset), at + max(before, offset) - 1
    if dst.gap == "skip" if gap else dst.overlap == "both":
        if not after < at <= occurrence:
            return None
    else:
        taken = before if gap or dst.overlap == "first" else offset
        low, high = max(low, after + 1 + taken), min(high, occurrence + taken)
    found = _first_and_last(series, low, high)
    if found is None:
        return None
    first, last = found
    several = last > first
    when = f"{_clock(first)}{f' to {_clock(last)}' if several else ''} on {from_nominal(first).date()}"
    if not gap:
        taken_are = {"first": "the first is taken", "second": "the second is taken", "both": "both are taken"}
        return f"{when} {'come' if several else 'comes'} twice in {series.zone}: {taken_are[dst.overlap]}"
    missing = f"{when} {'do' if several else 'does'} not exist in {series.zone}"
    if dst.gap == "skip":
        return f"{missing}: left out"
    moved = first + offset - before
    other_day = from_nominal(moved).date() != from_nominal(first).date()
    to = f"to {_clock(moved)}{f' on {from_nominal(moved).date()}' if other_day else ''}"
    return f"{missing}: moved {f'by {format_duration(offset - before)}' if several else to}"


def _first_and_last(series: Interval | Zoned, low: int, high: int) -> tuple[int, int] | None:
    """Give the first and the last nominal time between two; None where there is none."""
    if isinstance(series, Zoned):
        first, last = series.calendar.after(low - 1), series.calendar.up_to(high)
        return (first, last) if first is not None and last is not None and low <= first <= last <= high else None
    shown = [to_nominal(one) for one in series.shown(low - DAY, high + DAY)]
    found = [one for one in shown if low <= one <= high]
    return (found[0], found[-1]) if found else None


def _clock(nominal: int) -> str:
    shown = from_nominal(nominal)
    exact = "milliseconds" if shown.microsecond else "seconds" if shown.second else "minutes"
    return shown.time().isoformat(exact)
