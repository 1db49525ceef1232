"""Which occurrence of a repeating task is the next to run: when a worker finds it, and when a run has ended."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from after.dates import LATEST, format_instant, parse_elapsed, parse_instant
from after.missed import CaughtUp, missed
from after.recurrence import Rule, jitter, rule
from after.repeat import Repeat
from after.task import Document, due

_encode = msgspec.json.Encoder().encode


class Next(Struct, frozen=True):
    """The occurrence that is to run next.

    `date` is the instant of its run, `at`, as text; `fields` what the task says of it; `told` what the history says of
    how it came to be the next: the occurrences that were left out, and what the clocks did.
    """

    at: int
    date: str
    fields: Document
    told: dict[str, Any]


class Over(Struct, frozen=True):
    """There is no further occurrence; `note` says why, `told` what was left out."""

    note: str
    told: dict[str, Any]


def repeats(task: Document) -> bool:
    """Tell whether a task is a repeating one."""
    return task.get("repeat") is not None


def found(task: Document, now: int) -> Next | Over | None:
    """Say which occurrence of a repeating task, found by a worker at `now`, is to run; None where it is the one told.

    What a run before has left, its retry say, is not looked at: the task's date is that of the next try.
    """
    if task.get("attempt"):
        return None
    known = task.get("occurrence")
    if known is None:
        # Without a date, which only a document has that was written raw, it begins now.
        series = _series(task, due(task) if task.get("date") else now)
        first, number = series.rule.first(), 1
        if first is None:
            return Over("repeat: there is no occurrence at all", {})
    else:
        series, first, number = _begun(task, known)
    caught = _caught_up(series, first, now)
    if known is not None and caught.run == first:
        return None
    moved = caught.run != due(task)
    if not moved and caught.left_out is None and series.options.jitter is None:
        return None
    return _next(task, series, caught, number, "while no worker was there", moved=moved)


def following(task: Document, now: int) -> Next | Over:
    """Say which occurrence comes after the one whose run has ended at `now`; `runs` of the task counts that run."""
    series, current, number = _begun(task, task.get("occurrence"))
    limit = series.rule.limit
    if limit is not None and task["runs"] >= limit:
        return Over(f"the last of {limit} runs", {})
    candidate = series.rule.next(current)
    if candidate is None:
        return Over("the last occurrence", {})
    caught = _caught_up(series, candidate, now)
    following = _next(task, series, caught, number + 1, "while the run before still went on")
    if isinstance(following, Next) and (note := series.rule.note(current, caught.run or candidate)):
        following.told["note"] = "; ".join(filter(None, (following.told.get("note"), note)))
    return following


def occurrence(task: Document) -> Document:
    """Give what a repeating task says of the occurrence that is next or runs."""
    known: Document | None = task.get("occurrence")
    if known:
        return known
    date = format_instant(due(task))
    return {"start": date, "date": date, "number": 1}


def said(task: Document) -> str | Repeat:
    """Give the `repeat` of a checked task."""
    repeat = task["repeat"]
    return repeat if isinstance(repeat, str) else msgspec.convert(repeat, Repeat)


class _Series(Struct, frozen=True):
    """What the `repeat` of a task says: its rule, how it is run, and the ms by which a run is put off at most."""

    rule: Rule
    options: Repeat
    jitter: int


def _series(task: Document, start: int) -> _Series:
    return _read(_encode(task["repeat"]), start)


@lru_cache(maxsize=32_768)  # asked for with each run of all tasks that a worker holds
def _read(repeat: bytes, start: int) -> _Series:
    said = msgspec.json.decode(repeat, type=str | Repeat)
    options = Repeat() if isinstance(said, str) else said
    return _Series(rule(said, start), options, 0 if options.jitter is None else parse_elapsed(options.jitter))


def _begun(task: Document, known: Document | None) -> tuple[_Series, int, int]:
    """Give the series of a task with the instant and the number of the occurrence that it is at."""
    if known is None:
        return _series(task, due(task)), due(task), 1
    return _series(task, parse_instant(known["start"])), parse_instant(known["date"]), known.get("number", 1)


def _caught_up(series: _Series, candidate: int, now: int) -> CaughtUp:
    # A run that its jitter delays is not late.
    options = series.options
    return missed(series.rule, candidate, now - series.jitter, options.catch_up, options.catch_up_limit)


def _next(
    task: Document, series: _Series, caught: CaughtUp, number: int, when: str, *, moved: bool = False
) -> Next | Over:
    told: dict[str, Any] = {}
    left_out = caught.left_out
    if left_out is not None:
        told["missed"] = {"first": format_instant(left_out.first), "last": format_instant(left_out.last)}
        if left_out.count is not None:
            told["missed"]["count"] = left_out.count
        number += caught.number
        told["note"] = _note(series.options, left_out.count, when)
    if caught.run is None:
        return Over("no occurrence is left", told)
    at = caught.run
    if series.jitter:
        at = min(at + jitter(task["_id"], at, series.jitter), LATEST)
    if moved and left_out is None:
        told["note"] = "moved to its first occurrence"
    fields = {"start": format_instant(series.rule.start), "date": format_instant(caught.run), "number": number}
    return Next(at, format_instant(at), fields, told)


def _note(options: Repeat, count: int | None, when: str) -> str:
    occurrences = f"{'very many' if count is None else count} occurrence{'' if count == 1 else 's'}"
    were = "was" if count == 1 else "were"
    policy = options.catch_up or "one"
    if policy == "one":
        return f"{occurrences} {were} missed {when}; one run stands for all (catch_up one)"
    if policy == "none":
        return f"{occurrences} {were} missed {when} and left out (catch_up none)"
    return f"{occurrences} {were} missed {when} and left out, more than catch_up_limit"
