"""(task with its history, from, to, now) -> what was due in that time and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from after import history
from after.audit.occurrence import Occurrence, awaited
from after.audit.row import Row, Subject
from after.audit.story import Gap, Story, instant
from after.dates import DAY, format_instant
from after.errors import InvalidTask
from after.recurrence import Rule, parse_zone, rule
from after.recurrence.zones import stretch_at
from after.repeat import Dst, Repeat
from after.repeating import said
from after.status import ENDED, Status
from after.task import Document

TOLERANCE = 1_000
"""How many ms after its date something may start and still be on time, unless told otherwise."""
MAX_ROWS = 1_000
"""How many rows tell one by one of occurrences that have the same to say; one more stands for all others."""
MOST_COUNTED = 10_000
MARGIN = DAY
"""How much of the history before what is asked for is read: what happened to an occurrence begins with its claim."""
MAX_STRETCHES = 500


def audit(task: Document, low: int, high: int, now: int, tolerance: int = TOLERANCE) -> list[Row]:
    """Give a row for each occurrence due at the instant `low` or later and before `high`, in order of date.

    `task` has its history whole, or as much of it as `needs_older` asks for. What was due and is not done at `now` is
    pending, or running.
    """
    story = Story(task, tolerance)
    for entry in history.entries(task):
        story.read(entry)
    subject, series = Subject.of(task), _series(task)
    found = [(at, row) for at, row in story.rows if low <= at < high]
    for gap in story.gaps:
        found += _missed(subject, series, gap, low, high)
    if str(task.get("status") or Status.WAITING) not in ENDED:
        found += _to_come(task, subject, series, story, low, high, now)
    found += _skipped(task, subject, series, low, high if story.ended is None else min(high, story.ended))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def needs_older(entries: list[Document], low: int) -> bool:
    """Tell whether older entries, which are in archives, may tell of what was due at `low` or later."""
    first = next((at for entry in entries if (at := instant(entry.get("at"))) is not None), None)
    return first is None or first >= low - MARGIN


def has_moved(task: Document) -> bool:
    """Tell whether a task whose date is not in the time asked for may have had occurrences in it."""
    return task.get("repeat") is not None or bool(task.get("attempt"))


def _series(task: Document) -> Rule | None:
    """Give the rule of a task that repeats; None also where that cannot be read."""
    if task.get("repeat") is None:
        return None
    known = task.get("occurrence")
    start = instant(known.get("start")) if isinstance(known, dict) else None
    start = instant(task.get("date")) if start is None else start
    try:
        return None if start is None else rule(said(task), start)
    except (InvalidTask, msgspec.ValidationError):
        return None


def _missed(subject: Subject, series: Rule | None, gap: Gap, low: int, high: int) -> Iterator[tuple[int, Row]]:
    """Give the occurrences that an entry says were left out, as far as they were due in the time asked for."""
    first, last = max(gap.first, low), min(gap.last, high - 1)
    if first > last:
        return
    if series is None or not _fits(series, gap):
        # The rule has changed since: what it says now tells nothing of then.
        yield (
            gap.first,
            subject.row(gap.first, "missed", gap.status, why=gap.note, last=format_instant(gap.last), count=gap.count),
        )
        return
    yield from _several(subject, series, first, last, "missed", gap.note)


def _fits(series: Rule, gap: Gap) -> bool:
    """Tell whether a rule has the occurrences that a history tells of."""
    if series.latest(gap.first) != gap.first or series.latest(gap.last) != gap.last:
        return False
    return gap.count is None or series.count(gap.first, gap.last, gap.count) == gap.count


def _several(
    subject: Subject, series: Rule, first: int, last: int, outcome: str, why: str | None
) -> Iterator[tuple[int, Row]]:
    """Give the occurrences of a rule between two instants one by one, and what are too many as one row."""
    here = series.next(first - 1)
    for _ in range(MAX_ROWS):
        if here is None or here > last:
            return
        yield here, subject.row(here, outcome, why=why)  # type: ignore[arg-type]
        here = series.next(here)
    end = series.latest(last)
    if here is not None and end is not None and here <= end:
        count = series.count(here, end, MOST_COUNTED)
        yield here, subject.row(here, outcome, why=why, last=format_instant(end), count=count)  # type: ignore[arg-type]


def _to_come(
    task: Document, subject: Subject, series: Rule | None, story: Story, low: int, high: int, now: int
) -> Iterator[tuple[int, Row]]:
    """Give the occurrence that has not ended, and those after it."""
    current = story.open or Occurrence(None, None, "put")
    due = _due(task, series, current)
    if due is None:
        return
    current.due = due if current.due is None else current.due
    is_running = current.last is not None and subject.status in (Status.RUNNING, Status.CANCEL, Status.RESCHEDULE)
    if low <= due < high:
        why = "; ".join(filter(None, [_waits(task, current, due, now), *current.notes])) or None
        yield due, subject.row(due, "running" if is_running else "pending", **current.told(), why=why)
    if series is None or subject.status == Status.CANCEL:
        return
    before = "the run before goes on" if is_running else "the one before has not run yet"
    following = max(due + 1, low)
    end = _last(series, task, due, high - 1)
    for start, stop, why in ((following, min(now, end), before), (max(following, now + 1), end, None)):
        yield from _several(subject, series, start, stop, "pending", why)


def _due(task: Document, series: Rule | None, current: Occurrence) -> int | None:
    """Give the date of the occurrence that has not ended; of a repeating task without its jitter."""
    known = task.get("occurrence")
    if series is not None:
        nominal = instant(known.get("date")) if isinstance(known, dict) else None
        return series.first() if nominal is None else nominal
    if current.due is not None:
        return current.due
    return instant(task.get("date")) if task.get("date") else 0


def _last(series: Rule, task: Document, due: int, high: int) -> int:
    """Give when the last run that a limit leaves would be, were none missed, or `high` where that is earlier."""
    if series.limit is None:
        return high
    runs, here = task.get("runs"), due
    for _ in range(min(series.limit - (runs if isinstance(runs, int) else 0) - 1, MAX_ROWS + MOST_COUNTED)):
        following = series.next(here)
        if following is None or following > high:
            return high
        here = following
    return here


def _waits(task: Document, current: Occurrence, due: int, now: int) -> str | None:
    """Say what an occurrence waits for that has not ended."""
    if task.get("after") and not task.get("ready"):
        return awaited(task).replace("waited", "waits", 1)
    if current.asked is not None:
        return current.asked
    if current.last is not None or now <= due:
        return None
    if current.claimed is not None:
        return "it waits for a place: the worker is busy"
    return "its worker has not taken it yet"


def _skipped(task: Document, subject: Subject, series: Rule | None, low: int, high: int) -> Iterator[tuple[int, Row]]:
    """Give what a change of the clocks left out, at the instant to which it would have been moved otherwise."""
    repeat = said(task) if series is not None else None
    if series is None or not isinstance(repeat, Repeat) or repeat.dst is None or repeat.dst.gap != "skip":
        return
    other = rule(msgspec.structs.replace(repeat, dst=Dst("shift", repeat.dst.overlap)), series.start)
    zone = parse_zone(repeat.timezone or "UTC")
    begin = max(low, series.start)
    for _ in range(MAX_STRETCHES):
        if begin >= high:
            return
        here = stretch_at(zone, begin)
        until = min(here.begin + here.offset - here.earlier, high)
        at = other.next(max(here.begin, low) - 1)
        while at is not None and at < until:
            if series.latest(at) != at:
                why = series.note(here.begin - 1, here.begin) or "left out: the clocks skipped it"
                yield at, subject.row(at, "skipped", why=why)
            at = other.next(at)
        begin = here.end
