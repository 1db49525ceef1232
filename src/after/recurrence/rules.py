"""The rule of a repeating task: from its field `repeat` to the instants at which it is to run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, ParamSpec, TypeVar

from after.dates import DAY, LATEST, parse_duration, parse_elapsed, parse_instant
from after.errors import InvalidTask
from after.recurrence.cron import cron
from after.recurrence.interval import Interval
from after.recurrence.notes import note
from after.recurrence.rrule import RRule
from after.recurrence.zoned import Zoned
from after.recurrence.zones import from_nominal, nominal_at, parse_zone, resolve, to_nominal
from after.repeat import Dst, Repeat

MAX_TEXT = 1_000
"""Characters of a cron expression or a rule; what people write has a few dozen."""

MAX_RUNS = 1_000_000_000

_SOMEWHEN = parse_instant("2000-01-01")
"""Where a rule is tried that has no date yet."""

P = ParamSpec("P")
T = TypeVar("T")

_REPETITION = re.compile(r"R([0-9]*)/(.*)", re.DOTALL)


class Rule:
    """When a task runs: instants, strictly ascending."""

    __slots__ = ("_series", "_until", "limit", "start")

    def __init__(self, series: Interval | Zoned, start: int, limit: int | None, until: int) -> None:
        self._series, self._until = series, until
        self.start = start
        """What occurrences are counted from."""
        self.limit = limit
        """How often the task runs in all; None is without end."""

    def first(self) -> int | None:
        """Give the first occurrence at or after the start; None where there is none."""
        return self.next(self.start - 1)

    def next(self, after: int) -> int | None:
        """Give the first occurrence strictly later; None where there is none."""
        found = self._series.at_or_after(after + 1 if after >= self.start else self.start)
        return found if found is None or found <= self._until else None

    def latest(self, at: int) -> int | None:
        """Give the last occurrence at or before an instant; None where there is none."""
        found = self._series.at_or_before(min(at, self._until))
        return found if found is None or found >= self.start else None

    def count(self, first: int, last: int, most: int) -> int | None:
        """Give how many occurrences there are from one to another; None where there are more than `most` to count."""
        known = self._series.count(first, last)
        if known is not None:
            return known
        here: int | None = first
        for number in range(most + 1):
            if here is None or here > last:
                return number
            here = self.next(here)
        return None

    def back(self, occurrence: int, steps: int) -> int:
        """Give the occurrence so many before another, or the first one where there are fewer."""
        known = self._series.back(occurrence, steps)
        if known is not None:
            return known
        for _ in range(steps):
            before = self.latest(occurrence - 1)
            if before is None:
                break
            occurrence = before
        return occurrence

    def note(self, after: int, occurrence: int) -> str | None:
        """Tell what the clocks did to the occurrences later than `after`, up to `occurrence`; None where nothing."""
        return note(self._series, max(after, self.start - 1), occurrence)


class _Repetition(NamedTuple):
    """`Rn/START/PERIOD` in parts; without an end `limit` is None."""

    limit: int | None
    start: int | None
    period: str


def rule(repeat: str | Repeat, start: int) -> Rule:
    """Give the rule of a task's `repeat`, whose date is the instant `start`.

    Raises `InvalidTask`, naming the field, for what is wrong, and for a rule that never occurs.
    """
    return _rule(repeat, start)


@lru_cache(maxsize=32_768)  # a task's rule is asked for with each of its runs, of all tasks that a worker holds
def _rule(repeat: str | Repeat, start: int) -> Rule:
    if isinstance(repeat, str):
        parts = _repetition(repeat)
        start = start if parts.start is None else parts.start
        return Rule(_checked("repeat", _interval, parts.period, start, UTC, Dst()), start, parts.limit, LATEST)
    given = [text for text in (repeat.interval, repeat.cron, repeat.rrule) if text is not None]
    if len(given) != 1:
        raise InvalidTask("repeat", "expected exactly one of interval, cron, rrule")
    if len(given[0]) > MAX_TEXT:
        raise InvalidTask("repeat", f"a text of {len(given[0])} characters is longer than {MAX_TEXT}")
    zone = _checked("repeat.timezone", parse_zone, "UTC" if repeat.timezone is None else repeat.timezone)
    dst = repeat.dst or Dst()
    until = LATEST if repeat.until is None else _checked("repeat.until", parse_instant, repeat.until)
    if repeat.jitter is not None:
        _checked("repeat.jitter", parse_elapsed, repeat.jitter)
    if repeat.interval is not None:
        found = _checked("repeat.interval", _interval, repeat.interval, start, zone, dst)
        return Rule(found, start, repeat.limit, until)
    if repeat.cron is not None:
        calendar = _checked("repeat.cron", cron, repeat.cron)
        return Rule(Zoned(calendar, zone, dst), start, repeat.limit, until)
    assert repeat.rrule is not None
    recurrence = _checked("repeat.rrule", _recurrence, repeat.rrule, start, zone)
    until = min(until, _end(recurrence.until, zone))
    return Rule(Zoned(recurrence, zone, dst), start, repeat.limit, until)


def check_repeat(repeat: str | Repeat, date: int | None) -> None:
    """Check a task's `repeat`; `date` is the task's, None where it has none yet or occurrences are not counted from it.

    Raises `InvalidTask`, naming the field, for what is wrong, for a rule that never occurs, and for a series that is
    over before it begins.
    """
    found = rule(repeat, _SOMEWHEN if date is None else date)
    if date is not None and found.first() is None:
        raise InvalidTask("repeat", "has no occurrence at or after the task's `date`")


def jitter(identity: str, occurrence: int, width: int) -> int:
    """Give by how many ms a task's run is put off, 0 to `width` - 1; the same for whoever computes it."""
    if width <= 0:
        return 0
    digest = blake2b(f"{identity}\0{occurrence}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % width


def upcoming(repeat: str | Repeat, start: int, count: int) -> list[int]:
    """Give up to `count` occurrences at or after an instant, in order; raises `InvalidTask`."""
    series = rule(repeat, start)
    count = count if series.limit is None else min(count, series.limit)
    found: list[int] = []
    here = series.first()
    while here is not None and len(found) < count:
        found.append(here)
        here = series.next(here)
    return found


def _repetition(text: str) -> _Repetition:
    """Read `Rn/START/PERIOD`, where START may be empty; raises `InvalidTask`."""
    match = _REPETITION.fullmatch(text) if len(text) <= MAX_TEXT else None
    parts = match[2].split("/") if match else []
    if match is None or len(parts) != 2 or parts[0].startswith("P") or not parts[1].startswith("P"):
        raise InvalidTask("repeat", f"{text!r:.80} is not like R5/2026-12-01T09:00Z/P1D: Rn/START/PERIOD")
    if match[1] and not 1 <= int(match[1]) <= MAX_RUNS:
        raise InvalidTask("repeat", f"R{match[1]:.20} is not a number of runs from 1 to {MAX_RUNS}")
    start = _checked("repeat", parse_instant, parts[0]) if parts[0] else None
    return _Repetition(int(match[1]) if match[1] else None, start, parts[1])


def _interval(text: str, start: int, zone: tzinfo, dst: Dst) -> Interval:
    return Interval(parse_duration(text), start, zone, dst)


def _recurrence(text: str, start: int, zone: tzinfo) -> RRule:
    try:
        return RRule(text, to_nominal(nominal_at(zone, start)))
    except ValueError as error:
        raise ValueError(f"{text!r:.80} is not a recurrence rule: {error}") from None


def _end(until: str | None, zone: tzinfo) -> int:
    """Give the last instant that UNTIL allows: an instant in UTC, a nominal time, or a day, which it includes."""
    if until is None:
        return LATEST
    if until.endswith("Z"):
        return parse_instant(until)
    last = to_nominal(datetime.fromisoformat(until)) + (DAY - 1 if len(until) == 8 else 0)
    try:
        return max(resolve(from_nominal(last), zone, Dst("shift", "both")))
    except OverflowError:
        return LATEST


def _checked(field: str, make: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """Call, and raise `InvalidTask` for the field where that raises `ValueError`."""
    try:
        return make(*arguments, **keywords)
    except ValueError as error:
        raise InvalidTask(field, str(error)) from None
