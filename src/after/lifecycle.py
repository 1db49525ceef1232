"""(task, event, now) -> the next task: the only place where the rules of a task's life combine.

Nothing here reads a clock, draws a random number or talks to anyone; instants are ms since the epoch. The task given is
never changed; the task returned is what is to be written in its place, under the revision it had.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import Struct

from after import retry
from after.dates import LATEST, format_instant, parse_instant
from after.errors import Forbidden
from after.outcome import Done, Failed, Outcome, Stopped, failed
from after.status import ENDED, HELD, NEW_BY_CLIENT, Role, Status, refused
from after.task import WORKER_FIELDS, Document, Retry, check


class Claimed(Struct, frozen=True):
    """A worker process takes the task into its memory; `note` says why again, where it had claimed it before."""

    instance: str
    note: str | None = None


class Started(Struct, frozen=True):
    """The job has begun at `at`, `lateness` ms after the task's date."""

    instance: str
    at: int
    lateness: float


class Ended(Struct, frozen=True):
    """The run is over, or there was none because the task could not be run.

    `started` tells of the run, `duration` its length in ms; `policy` is the job's own retry policy, for a task that has
    none; `chance`, from 0 to 1, decides what the policy leaves to chance.
    """

    instance: str
    outcome: Outcome
    started: Started | None = None
    duration: float = 0.0
    policy: Retry | None = None
    chance: float = 0.5


class Released(Struct, frozen=True):
    """The worker process gives the task back unrun."""

    instance: str
    note: str | None = None


class Lost(Struct, frozen=True):
    """The process that held the task is gone; `instance` is the survivor that says so."""

    instance: str
    holder: str
    policy: Retry | None = None


class Requested(Struct, frozen=True):
    """A client asks for a status and changes the fields it gives."""

    status: str
    changes: Document
    by: str = "client"


MAX_TOLD = 500
"""Characters of an error's message in the history; all of it stands in the task's `error`."""

Event = Claimed | Started | Ended | Released | Lost | Requested


def create(given: Document, now: int, by: str = "client") -> Document:
    """Make the task that a client's document asks for; raise `InvalidTask` or `Forbidden` where it may not be."""
    fields = check(given)
    status = fields.status or Status.WAITING
    if status not in NEW_BY_CLIENT:
        raise Forbidden(str(refused(None, status, Role.CLIENT)))
    _refuse_worker_fields(given, {})
    date = format_instant(now if fields.date is None else parse_instant(fields.date))
    entry = {"at": format_instant(now), "status": status.value, "by": by, "date": date}
    own = _without(given, "type", *WORKER_FIELDS)
    return {"type": "task", **own, "date": date, "status": status.value, "history": [entry]}


def apply(task: Document, event: Event, now: int) -> Document:
    """Give the task that `event` makes of `task` at `now`; raise `Forbidden` where the table of statuses refuses it."""
    match event:
        case Claimed():
            return _claimed(task, event, now)
        case Started():
            return _started(task, event, now)
        case Ended():
            return _ended(task, event, now)
        case Released():
            return _moved(task, _given_back(task), now, event.instance, note=event.note)
        case Lost():
            return _lost(task, event, now)
        case Requested():
            return _requested(task, event, now)
    assert_never(event)


def _claimed(task: Document, event: Claimed, now: int) -> Document:
    claim = {"instance": event.instance, "at": format_instant(now)}
    return _moved(task, Status.SCHEDULED, now, event.instance, claim=claim, note=event.note)


def _started(task: Document, event: Started, now: int) -> Document:
    attempt = _attempt(task) + 1
    claim = task.get("claim")
    if not isinstance(claim, dict) or claim.get("instance") != event.instance:
        claim = {"instance": event.instance, "at": format_instant(event.at)}
    moved = _moved(
        task, Status.RUNNING, event.at, event.instance,
        claim=claim, attempt=attempt, lateness_ms=event.lateness,
    )  # fmt: skip
    return {**_without(moved, "progress", "log", "result"), "attempt": attempt}


def _ended(task: Document, event: Ended, now: int) -> Document:
    told: dict[str, Any] = {}
    if event.started is not None:
        attempt = _attempt_written(task, event.started)
        told = {"attempt": attempt, "duration_ms": event.duration}
        if attempt is None:
            # A run whose start was never written is told in the entry of its end.
            attempt = _attempt(task) + 1
            told |= {"attempt": attempt, "lateness_ms": event.started.lateness}
            task = task.copy() if _status(task) in ENDED else _without(task, "progress", "log", "result")
            task["attempt"] = attempt
    if _overtaken(task, event):
        told["note"] = f"a run ended meanwhile: {_word(event)}"
        return _moved(task, _given_back(task), now, event.instance, **told)
    match event.outcome:
        case Done(result):
            moved = _moved(task, Status.DONE, now, event.instance, **told)
            moved.pop("error", None)
            moved["result"] = result
            return moved
        case Failed():
            return _failed(task, event, event.outcome, now, told)
        case Stopped(note):
            return _stopped(task, event, now, {**told, "note": note})
    assert_never(event.outcome)


_ASKED_ANEW = frozenset({Status.SCHEDULE, Status.RESCHEDULE})
"""A client that asked for another run is not answered by the end of the run before."""


def _overtaken(task: Document, event: Ended) -> bool:
    """Tell whether the task was ended, or asked for anew, while the worker was busy with what it had been before."""
    status = _status(task)
    return status in ENDED or (status in _ASKED_ANEW and (event.started is not None or bool(task.get("claim"))))


def _attempt_written(task: Document, started: Started) -> int | None:
    """Give the number under which the start of this run stands in the task, None where it was not written."""
    at = format_instant(started.at)
    for entry in reversed(_history(task)):
        if (entry.get("status"), entry.get("by"), entry.get("at")) == (Status.RUNNING, started.instance, at):
            return int(entry.get("attempt") or _attempt(task))
    return _attempt(task) if _status(task) == Status.RUNNING else None


def _word(event: Ended) -> str:
    return type(event.outcome).__name__.lower()


def _failed(task: Document, event: Ended, outcome: Failed, now: int, told: dict[str, Any]) -> Document:
    error = _plain(outcome.error)
    told = {**told, "error": {"type": error["type"], "message": error["message"][:MAX_TOLD]}}
    wait = None
    if event.started is not None and not outcome.final and _status(task) != Status.CANCEL:
        wait = retry.delay(_policy(task, event.policy), told["attempt"], event.chance)
    if wait is None:
        return {**_moved(task, Status.ERR, now, event.instance, **told), "error": error}
    date = format_instant(min(now + wait, LATEST))
    return {**_moved({**task, "date": date}, Status.WAITING, now, event.instance, date=date, **told), "error": error}


def _stopped(task: Document, event: Ended, now: int, told: dict[str, Any]) -> Document:
    """A stopped run ends as what was asked for: canceled, or back to waiting for a task that was rescheduled.

    A run that was stopped so that its worker can end is no try that failed: it does not count against the limit.
    """
    moved = _moved(task, _given_back(task), now, event.instance, **told)
    if event.started is not None and moved["status"] == Status.WAITING:
        moved["attempt"] = max(_attempt(moved) - 1, 0)
    return moved


def _given_back(task: Document) -> Status:
    """Give the status of a task that its holder no longer holds: what a client asked for or wrote meanwhile stands."""
    status = _status(task)
    if status == Status.CANCEL:
        return Status.CANCELED
    return Status(status) if status in ENDED else Status.WAITING


def _lost(task: Document, event: Lost, now: int) -> Document:
    policy = _policy(task, event.policy)
    ran = "died while it ran" if _status(task) == Status.RUNNING else "died; it may have begun to run"
    note = f"its worker {event.holder} {ran}"
    unasked = _status(task) in HELD or _status(task) == Status.WAITING
    if unasked and policy is not None and not policy.on_lost:
        return apply(task, Ended(event.instance, failed("Lost", note, final=True)), now)
    return _moved(task, _given_back(task), now, event.instance, note=note)


def _requested(task: Document, event: Requested, now: int) -> Document:
    old = _status(task)
    if reason := refused(old, event.status, Role.CLIENT):
        raise Forbidden(reason)
    _refuse_worker_fields(event.changes, task)
    changes = {key: value for key, value in event.changes.items() if key not in WORKER_FIELDS and key[:1] != "_"}
    changed = {**task, **changes, "status": event.status}
    if event.status == Status.SCHEDULE and old in ENDED:
        changed = _without({**changed, "attempt": 0}, "result", "error", "progress", "log", "claim")
        changed["date"] = changes.get("date") or format_instant(now)
    fields = check(changed)
    date = format_instant(now if fields.date is None else parse_instant(fields.date))
    entry = _entry(now, event.status, event.by, date=date if date != task.get("date") else None)
    return {**changed, "type": "task", "date": date, "history": [*_told(task, now), entry]}


def _moved(task: Document, status: Status, now: int, by: str, claim: Document | None = None, **told: Any) -> Document:
    """Give the task in its next status, with an entry in its history, held by `claim` or by nobody."""
    if reason := refused(_status(task), status, Role.WORKER):
        raise Forbidden(reason)
    moved = {
        **task,
        "type": "task",
        "date": _date(task, now),
        "status": status.value,
        "history": [*_told(task, now), _entry(now, status, by, **told)],
    }
    if claim:
        moved["claim"] = claim
    else:
        moved.pop("claim", None)
    return moved


def _told(task: Document, now: int) -> list[Document]:
    """Give the history so far; a change that went round the interface has no entry of its own yet and gets one."""
    history, status = _history(task), _status(task)
    if history and history[-1].get("status") == status:
        return history
    return [*history, _entry(now, status, "document")]


def _entry(now: int, status: str, by: str, **told: Any) -> Document:
    entry = {"at": format_instant(now), "status": str(status), "by": by}
    return entry | {key: value for key, value in told.items() if value is not None}


def _status(task: Document) -> str:
    return task.get("status") or Status.WAITING


def _attempt(task: Document) -> int:
    attempt = task.get("attempt")
    return attempt if isinstance(attempt, int) else 0


def _history(task: Document) -> list[Document]:
    """Give the entries there are; a document written round the interface may have anything in this place."""
    history = task.get("history")
    return [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []


def _date(task: Document, now: int) -> Any:
    """Give the date as it is stored; one that cannot be read stays, for the task has to end with its error."""
    date = task.get("date")
    if isinstance(date, str) and len(date) == 24 and date[7] == "-" and date[19] == "." and date[23] == "Z":
        return date  # it is in that form already
    try:
        return format_instant(parse_instant(date) if date else now)
    except ValueError:
        return date


def _refuse_worker_fields(given: Document, stored: Document) -> None:
    if WORKER_FIELDS.isdisjoint(given):
        return
    for field in sorted(WORKER_FIELDS & given.keys()):
        if given[field] != stored.get(field):
            raise Forbidden(f"{field}: is set by workers only")


def _policy(task: Document, default: Retry | None) -> Retry | None:
    """Give the rule for retries; one that cannot be read, written while the task was held, retries nothing."""
    if task.get("retry") is None:
        return default
    try:
        policy = msgspec.convert(task.get("retry"), Retry | None)
        retry.delay(policy, 1, 0.5)
    except ValueError:
        return None
    return policy


def _plain(error: Struct) -> Document:
    return {key: value for key, value in msgspec.structs.asdict(error).items() if value is not None}


def _without(task: Document, *fields: str) -> Document:
    kept = task.copy()
    for field in fields:
        kept.pop(field, None)
    return kept
