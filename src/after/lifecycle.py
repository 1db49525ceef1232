"""(task, event, now) -> the next task: the only place where the rules of a task's life combine.

Nothing here reads a clock, draws a random number or talks to anyone; instants are ms since the epoch. The task given is
never changed; the task returned is what is to be written in its place, under the revision it had.
"""

from __future__ import annotations

from typing import Any, assert_never

from after import history, repeating
from after.dates import format_instant, parse_instant
from after.ended import ended, lost
from after.errors import Forbidden, InvalidTask
from after.events import Claimed, Ended, Event, Finished, Freed, Lost, Released, Requested, Started
from after.recurrence import rule
from after.repeat import Repeat
from after.repeating import Next, Over, repeats
from after.status import ENDED, NEW_BY_CLIENT, Role, Status, refused
from after.step import attempt_of, given_back, moved, status_of, without
from after.task import WORKER_FIELDS, Document, check

FREED = "all that it waited for is done"


def create(given: Document, now: int, by: str = "client") -> Document:
    """Make the task that a client's document asks for; raise `InvalidTask` or `Forbidden` where it may not be."""
    fields = check(given)
    status = fields.status or Status.WAITING
    if status not in NEW_BY_CLIENT:
        raise Forbidden(str(refused(None, status, Role.CLIENT)))
    _refuse_worker_fields(given, {})
    instant = now if fields.date is None else parse_instant(fields.date)
    if fields.repeat is not None:
        instant = _first(fields.repeat, instant, dated=fields.date is not None)
    date = format_instant(instant)
    entry = {"at": format_instant(now), "status": status.value, "by": by, "date": date}
    own = without(given, "type", *WORKER_FIELDS)
    return {"type": "task", **own, "date": date, "status": status.value, "history": [entry]}


def _first(repeat: str | Repeat, date: int, *, dated: bool) -> int:
    """Give the first occurrence of a new task; `dated` tells that it was given its date."""
    series = rule(repeat, date)
    if dated and isinstance(repeat, str) and series.start != date:
        raise InvalidTask("repeat", f"{repeat!r:.80} does not start at the task's `date`")
    first = series.first()
    if first is None:
        raise InvalidTask("repeat", "has no occurrence at or after the task's `date`")
    return first


def apply(task: Document, event: Event, now: int) -> Document:
    """Give the task that `event` makes of `task` at `now`; raise `Forbidden` where the table of statuses refuses it."""
    match event:
        case Ended():
            return ended(task, event, now)
        case Started():
            return _started(task, event, now)
        case Claimed():
            return _claimed(task, event, now)
        case Released():
            return _released(task, event, now)
        case Lost():
            return lost(task, event, now)
        case Freed():
            return {**moved(task, Status(status_of(task)), now, event.instance, note=FREED), "ready": True}
        case Finished():
            return _finished(task, event, now)
        case Requested():
            return _requested(task, event, now)
    assert_never(event)


def _claimed(task: Document, event: Claimed, now: int) -> Document:
    claim = {"instance": event.instance, "at": format_instant(now)}
    told: dict[str, Any] = {"note": event.note}
    if repeats(task):
        task, told = _caught_up(task, now, told)
    return moved(task, Status.SCHEDULED, now, event.instance, claim=claim, **told)


def _released(task: Document, event: Released, now: int) -> Document:
    told: dict[str, Any] = {"note": event.note}
    if repeats(task) and not task.get("claim") and status_of(task) != Status.CANCEL:
        task, told = _caught_up(task, now, told)
    return moved(task, given_back(task), now, event.instance, **told)


def _caught_up(task: Document, now: int, told: dict[str, Any]) -> tuple[Document, dict[str, Any]]:
    """Move a repeating task to the occurrence that is to run, and tell what was left out on the way."""
    found = repeating.found(task, now)
    if not isinstance(found, Next):
        return task, told
    if found.date != task.get("date"):
        told = {**told, "date": found.date}
    return {**task, "date": found.date, "occurrence": found.fields}, {**told, **found.told}


def _finished(task: Document, event: Finished, now: int) -> Document:
    found = repeating.found(task, now)
    over = found if isinstance(found, Over) else Over("no occurrence is left", {})
    note = "; ".join(filter(None, (over.told.get("note"), over.note)))
    told = {**over.told, "note": note}
    if task.get("runs"):
        return moved(task, Status.DONE, now, event.instance, **told)
    error = {"type": "Missed", "message": f"repeat: {note}"}
    return {**moved(task, Status.ERR, now, event.instance, **told, error=error), "error": error}


def _started(task: Document, event: Started, now: int) -> Document:
    attempt = attempt_of(task) + 1
    claim = task.get("claim")
    if not isinstance(claim, dict) or claim.get("instance") != event.instance:
        claim = {"instance": event.instance, "at": format_instant(event.at)}
    running = moved(
        task, Status.RUNNING, event.at, event.instance,
        claim=claim, attempt=attempt, lateness_ms=event.lateness,
    )  # fmt: skip
    return {**without(running, "progress", "log", "result"), "attempt": attempt}


def _requested(task: Document, event: Requested, now: int) -> Document:
    old = status_of(task)
    if reason := refused(old, event.status, Role.CLIENT):
        raise Forbidden(reason)
    _refuse_worker_fields(event.changes, task)
    changes = {key: value for key, value in event.changes.items() if key not in WORKER_FIELDS and key[:1] != "_"}
    changed = {**task, **changes, "status": event.status}
    if event.status == Status.SCHEDULE and old in ENDED:
        changed = without({**changed, "attempt": 0}, *BEGUN)
        changed["date"] = changes.get("date") or format_instant(now)
    if "after" in changes:
        changed.pop("ready", None)
    fields = check(changed)
    date = format_instant(now if fields.date is None else parse_instant(fields.date))
    if "date" in changes or "repeat" in changes or event.status == Status.SCHEDULE:
        changed = _rearranged(changed, changes, date)
    entry = history.entry(now, event.status, event.by, date=date if date != task.get("date") else None)
    return {**changed, "type": "task", "date": date, "history": [*history.told(task, now), entry]}


BEGUN = ("result", "error", "progress", "log", "claim", "occurrence", "ready", "runs")
"""What is left of the runs of a task that begins anew."""


def _rearranged(changed: Document, changes: Document, date: str) -> Document:
    """Give a task whose date or repetition a client has changed.

    The next run is at the date that was given, also where the rule has no occurrence then, and the series is counted
    from it. Where only the repetition was given, or a series by a rule begins anew, a worker looks for its first
    occurrence.
    """
    repeat, anew = changed.get("repeat"), changed["status"] == Status.SCHEDULE
    if repeat is None or (anew and not isinstance(repeat, str)) or (changes.get("date") is None and not anew):
        return without(changed, "occurrence")
    number = (changed.get("occurrence") or {}).get("number", 1)
    return {**changed, "attempt": 0, "occurrence": {"start": date, "date": date, "number": number}}


def _refuse_worker_fields(given: Document, stored: Document) -> None:
    if WORKER_FIELDS.isdisjoint(given):
        return
    for field in sorted(WORKER_FIELDS & given.keys()):
        if given[field] != stored.get(field):
            raise Forbidden(f"{field}: is set by workers only")
