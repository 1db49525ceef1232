"""(task, event, now) -> the next task: the only place where the rules of a task's life combine.

Nothing here reads a clock, draws a random number or talks to anyone; instants are ms since the epoch. The task given is
never changed; the task returned is what is to be written in its place, under the revision it had.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import Struct

from after import retry
from after.dates import format_instant, parse_instant
from after.errors import Forbidden, InvalidTask
from after.outcome import Done, Failed, Outcome, Stopped, failed
from after.status import ENDED, HELD, NEW_BY_CLIENT, Role, Status, refused
from after.task import WORKER_FIELDS, Document, Retry, check


class Claimed(Struct, frozen=True):
    """A worker process takes the task into its memory."""

    instance: str


class Started(Struct, frozen=True):
    """The job has begun at `at`, `lateness` ms after the task's date."""

    instance: str
    at: int
    lateness: float


class Ended(Struct, frozen=True):
    """The run is over, or there was none because the task could not be run. `started` tells of the run."""

    instance: str
    outcome: Outcome
    started: Started | None = None
    duration: float = 0.0
    chance: float = 0.5


class Released(Struct, frozen=True):
    """The worker process gives the task back unrun."""

    instance: str
    note: str | None = None


class Lost(Struct, frozen=True):
    """The process that held the task is gone; `instance` is the survivor that says so."""

    instance: str
    holder: str


class Requested(Struct, frozen=True):
    """A client asks for a status and changes the fields it gives."""

    status: str
    changes: Document
    by: str = "client"


Event = Claimed | Started | Ended | Released | Lost | Requested


def create(given: Document, now: int, by: str = "client") -> Document:
    """Make the task that a client's document asks for; raise `InvalidTask` or `Forbidden` where it may not be."""
    fields = check(given)
    status = fields.status or Status.WAITING
    if status not in NEW_BY_CLIENT:
        raise Forbidden(str(refused(None, status, Role.CLIENT)))
    for field in WORKER_FIELDS & given.keys():
        raise Forbidden(f"{field}: is set by workers only")
    date = format_instant(now if fields.date is None else parse_instant(fields.date))
    entry = {"at": format_instant(now), "status": status.value, "by": by, "date": date}
    return {"type": "task", **given, "date": date, "status": status.value, "history": [entry]}


def apply(task: Document, event: Event, now: int) -> Document:
    """Give the task that `event` makes of `task` at `now`."""
    match event:
        case Claimed():
            return _claimed(task, event, now)
        case Started():
            return _started(task, event, now)
        case Ended():
            return _ended(task, event, now)
        case Released():
            return _moved(task, Status.WAITING, now, event.instance, note=event.note)
        case Lost():
            return _lost(task, event, now)
        case Requested():
            return _requested(task, event, now)
    assert_never(event)


def _claimed(task: Document, event: Claimed, now: int) -> Document:
    claim = {"instance": event.instance, "at": format_instant(now)}
    return _moved(task, Status.SCHEDULED, now, event.instance, claim=claim)


def _started(task: Document, event: Started, now: int) -> Document:
    attempt = task.get("attempt", 0) + 1
    moved = _moved(
        task, Status.RUNNING, event.at, event.instance,
        claim=task.get("claim"), attempt=attempt, lateness_ms=event.lateness,
    )  # fmt: skip
    return {**_without(moved, "progress", "log", "result"), "attempt": attempt}


def _ended(task: Document, event: Ended, now: int) -> Document:
    told: dict[str, Any] = {}
    if event.started is not None:
        # A run whose start was never written is told in the entry of its end.
        attempt = task.get("attempt", 0) + (task["status"] != Status.RUNNING)
        told = {"attempt": attempt, "duration_ms": event.duration}
        if task["status"] != Status.RUNNING:
            told["lateness_ms"] = event.started.lateness
            task = _without({**task, "attempt": attempt}, "progress", "log", "result")
    if task["status"] in _ASKED_ANEW:
        return _moved(task, Status.WAITING, now, event.instance, **told, note=f"a run ended meanwhile: {_word(event)}")
    match event.outcome:
        case Done(result):
            moved = _without(_moved(task, Status.DONE, now, event.instance, **told), "error")
            return {**moved, "result": result}
        case Failed():
            return _failed(task, event, event.outcome, now, told)
        case Stopped(note):
            return _stopped(task, event, now, {**told, "note": note})
    assert_never(event.outcome)


_ASKED_ANEW = frozenset({Status.SCHEDULE, Status.RESCHEDULE})
"""A client that asked for another run is not answered by the end of the run before."""


def _word(event: Ended) -> str:
    return type(event.outcome).__name__.lower()


def _failed(task: Document, event: Ended, outcome: Failed, now: int, told: dict[str, Any]) -> Document:
    error = _plain(outcome.error)
    told = {**told, "error": {"type": error["type"], "message": error["message"]}}
    wait = None
    if event.started is not None and not outcome.final and task["status"] != Status.CANCEL:
        wait = retry.delay(_policy(task), task["attempt"], event.chance)
    if wait is None:
        return {**_moved(task, Status.ERR, now, event.instance, **told), "error": error}
    date = format_instant(now + wait)
    return {**_moved({**task, "date": date}, Status.WAITING, now, event.instance, date=date, **told), "error": error}


def _stopped(task: Document, event: Ended, now: int, told: dict[str, Any]) -> Document:
    """A stopped run ends as what was asked for: canceled, or back to waiting for a task that was rescheduled."""
    status = Status.CANCELED if task["status"] == Status.CANCEL else Status.WAITING
    return _moved(task, status, now, event.instance, **told)


def _lost(task: Document, event: Lost, now: int) -> Document:
    policy = _policy(task)
    ran = "died while it ran" if task["status"] == Status.RUNNING else "died; it may have begun to run"
    note = f"its worker {event.holder} {ran}"
    if task["status"] == Status.CANCEL:
        return _moved(task, Status.CANCELED, now, event.instance, note=note)
    if policy is not None and not policy.on_lost:
        return apply(task, Ended(event.instance, failed("Lost", note, final=True)), now)
    return _moved(task, Status.WAITING, now, event.instance, note=note)


def _requested(task: Document, event: Requested, now: int) -> Document:
    old = task.get("status", Status.WAITING)
    if reason := refused(old, event.status, Role.CLIENT):
        raise Forbidden(reason)
    for field in WORKER_FIELDS & event.changes.keys():
        if event.changes[field] != task.get(field):
            raise Forbidden(f"{field}: is set by workers only")
    changed = {**task, **event.changes, "status": event.status}
    if event.status == Status.SCHEDULE and old in ENDED:
        changed = _without({**changed, "attempt": 0}, "result", "error", "progress", "log", "claim")
        changed["date"] = event.changes.get("date") or format_instant(now)
    fields = check(changed)
    if "type" in event.changes and event.changes["type"] != "task":
        raise InvalidTask("type", "expected 'task'")
    date = format_instant(now if fields.date is None else parse_instant(fields.date))
    entry = _entry(now, event.status, event.by, date=date if date != task.get("date") else None)
    return {**changed, "date": date, "history": [*_told(task, now), entry]}


def _moved(task: Document, status: Status, now: int, by: str, claim: Document | None = None, **told: Any) -> Document:
    """Give the task in its next status, with an entry in its history, held by `claim` or by nobody."""
    if status not in HELD:
        claim = None
    moved = {
        "type": "task",
        **task,
        "date": format_instant(parse_instant(task["date"]) if task.get("date") else now),
        "status": status.value,
        "claim": claim,
        "history": [*_told(task, now), _entry(now, status, by, **told)],
    }
    return moved if claim else _without(moved, "claim")


def _told(task: Document, now: int) -> list[Any]:
    """Give the history so far; a change that went round the interface has no entry of its own yet and gets one."""
    history: list[Any] = task.get("history") or []
    status = task.get("status", Status.WAITING)
    if history and history[-1].get("status") == status:
        return history
    return [*history, _entry(now, status, "document")]


def _entry(now: int, status: str, by: str, **told: Any) -> Document:
    entry = {"at": format_instant(now), "status": str(status), "by": by}
    entry.update((key, value) for key, value in told.items() if value is not None)
    return entry


def _policy(task: Document) -> Retry | None:
    given = task.get("retry")
    return None if given is None else msgspec.convert(given, Retry)


def _plain(error: Struct) -> Document:
    return {key: value for key, value in msgspec.structs.asdict(error).items() if value is not None}


def _without(task: Document, *fields: str) -> Document:
    return {key: value for key, value in task.items() if key not in fields}
