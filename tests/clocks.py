"""A second, plain reading of what repetitions mean, to compare the first with: it looks at every nominal time there is.

Times that do not exist or come twice are recognised by PEP 495's `fold`, one by one; nothing is known of changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from after.recurrence import Rule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
POLICIES = [(gap, overlap) for gap in ("shift", "skip") for overlap in ("first", "second", "both")]


def instant(shown: datetime, zone: tzinfo, fold: int) -> int:
    return (shown.replace(tzinfo=zone, fold=fold) - EPOCH) // MILLISECOND


def shown_at(moment: int, zone: tzinfo) -> datetime:
    return (EPOCH + moment * MILLISECOND).astimezone(zone).replace(tzinfo=None)


def steps(first: datetime, last: datetime, step: timedelta) -> Iterator[datetime]:
    while first <= last:
        yield first
        first += step


def instants(
    nominal: Iterable[datetime], zone: tzinfo, gap: str = "shift", overlap: str = "first", *, elapsed: bool = False
) -> list[int]:
    """Give the instants of nominal times, each looked at by itself."""
    found = set()
    for shown in nominal:
        pair = [instant(shown, zone, 0), instant(shown, zone, 1)]
        exists = shown_at(pair[0], zone) == shown
        if elapsed:
            found |= set(pair) if exists else set()
        elif not exists:
            found |= {pair[0]} if gap == "shift" else set()
        else:
            found |= {"first": {pair[0]}, "second": {pair[1]}, "both": set(pair)}[overlap]
    return sorted(found)


def chain(rule: Rule, first: int, last: int) -> list[int]:
    """Give the occurrences from one instant to another, each asked for by the one before."""
    found = []
    here = rule.next(first - 1)
    while here is not None and here <= last:
        found.append(here)
        here = rule.next(here)
    return found


def chain_back(rule: Rule, first: int, last: int) -> list[int]:
    """Give the same, from the last to the first."""
    found = []
    here = rule.latest(last)
    while here is not None and here >= first:
        found.append(here)
        here = rule.latest(here - 1)
    return found[::-1]


def changes(zone: tzinfo, year: int, until: int | None = None) -> Iterator[int]:
    """Give, to the minute, the instants at which a zone's clocks change in some years."""
    day = (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // MILLISECOND
    end = (datetime((until or year) + 1, 1, 1, tzinfo=UTC) - EPOCH) // MILLISECOND
    offset = offset_at(day, zone)
    for sample in range(day + 86_400_000, end + 1, 86_400_000):
        following = offset_at(sample, zone)
        if following != offset:
            minutes = range(sample - 86_400_000, sample + 1, 60_000)
            yield next(minute for minute in minutes if offset_at(minute, zone) != offset)
            offset = following


def offset_at(moment: int, zone: tzinfo) -> timedelta:
    offset = (EPOCH + moment * MILLISECOND).astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def always(_: datetime) -> bool:
    return True
