"""What the end of a run makes of a task."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import Struct

from after import history, repeating, retry
from after.dates import LATEST, format_instant
from after.errors import InvalidTask
from after.events import Ended, Lost, Started
from after.outcome import Done, Failed, Stopped, failed
from after.repeating import Over, repeats
from after.status import ENDED, HELD, Status
from after.step import attempt_of, drop, given_back, move, moved, status_of
from after.task import Document

CANCELED = "the run was over before it could be canceled; no other follows"
LOST = "Lost"
ENDS_SERIES = frozenset({"InvalidTask", "DependencyFailed", "DependencyCycle"})
"""Errors that end a repeating task: it cannot be read, or was never to begin. After all others it goes on."""
MAX_TOLD = 500
"""Characters of an error's message in the history; all of it stands in the task's `error`."""


def ended(task: Document, event: Ended, now: int) -> Document:
    """Give the task whose run is over: ended, to be tried again, or gone on to its next occurrence."""
    # Copied once, then changed: a task that repeats comes here with each of its runs.
    task, told = task.copy(), _told(task, event)
    if "lateness_ms" in told:
        # A run whose start was never written is told in the entry of its end.
        task["attempt"] = told["attempt"]
        if status_of(task) not in ENDED:
            drop(task, "progress", "log", "result")
    if _overtaken(task, event):
        told["note"] = f"a run ended meanwhile: {_word(event)}"
        return moved(task, given_back(task), now, event.instance, **told)
    match event.outcome:
        case Done(result):
            drop(task, "error")
            task["result"] = result
            if repeats(task) and event.started is not None:
                return _repeated(task, Status.DONE, event, now, told)
            return moved(task, Status.DONE, now, event.instance, **told)
        case Failed():
            return _failed(task, event, event.outcome, now, told)
        case Stopped(note):
            return _stopped(task, event, now, {**told, "note": note})
    assert_never(event.outcome)


def _told(task: Document, event: Ended) -> dict[str, Any]:
    """Give what the history says of the run itself, with its lateness where no entry of its start does."""
    if event.started is None:
        return {}
    attempt = _attempt_written(task, event.started)
    if attempt is not None:
        return {"attempt": attempt, "duration_ms": event.duration}
    lateness = event.started.lateness
    return {"attempt": attempt_of(task) + 1, "duration_ms": event.duration, "lateness_ms": lateness}


_ASKED_ANEW = frozenset({Status.SCHEDULE, Status.RESCHEDULE})
"""A client that asked for another run is not answered by the end of the run before."""


def _overtaken(task: Document, event: Ended) -> bool:
    """Tell whether the task was ended, or asked for anew, while the worker was busy with what it had been before."""
    status = status_of(task)
    return status in ENDED or (status in _ASKED_ANEW and (event.started is not None or bool(task.get("claim"))))


def _attempt_written(task: Document, started: Started) -> int | None:
    """Give the number under which the start of this run stands in the task, None where it was not written."""
    if status_of(task) == Status.SCHEDULED:
        return None  # the usual case; the start would have made it `running`
    at = format_instant(started.at)
    for entry in reversed(history.entries(task)):
        if (entry.get("status"), entry.get("by"), entry.get("at")) == (Status.RUNNING, started.instance, at):
            return int(entry.get("attempt") or attempt_of(task))
    return attempt_of(task) if status_of(task) == Status.RUNNING else None


def _word(event: Ended) -> str:
    return type(event.outcome).__name__.lower()


def _failed(task: Document, event: Ended, outcome: Failed, now: int, told: dict[str, Any]) -> Document:
    error = _plain(outcome.error)
    told = {**told, "error": {"type": error["type"], "message": error["message"][:MAX_TOLD]}}
    wait = None
    if event.started is not None and not outcome.final and status_of(task) != Status.CANCEL:
        wait = retry.delay(retry.policy_of(task, event.policy), told["attempt"], event.chance)
    erred = {**task, "error": error}
    if wait is not None:
        date = format_instant(min(now + max(wait, outcome.wait or 0), LATEST))
        erred["date"] = date
        if repeats(task):
            erred["occurrence"] = repeating.occurrence(task)
        return moved(erred, Status.WAITING, now, event.instance, date=date, **told)
    if repeats(task) and error["type"] not in ENDS_SERIES:
        return _repeated(erred, Status.ERR, event, now, told)
    return moved(erred, Status.ERR, now, event.instance, **told)


def _repeated(task: Document, status: Status, event: Ended, now: int, told: dict[str, Any]) -> Document:
    """End the run of a repeating task as `status`, and go on to its next occurrence, in one step.

    `task` and `told` are changed on the way. A request to cancel that came too late for the run still ends the series.
    """
    told["date"] = repeating.occurrence(task)["date"]
    ran = event.started is not None or (isinstance(event.outcome, Failed) and event.outcome.error.type == LOST)
    task["runs"] = (task.get("runs") or 0) + ran
    canceled = status_of(task) == Status.CANCEL
    try:
        found = Over(CANCELED, {}) if canceled else repeating.following(task, now)
    except (InvalidTask, ValueError) as error:
        reason = error.reason if isinstance(error, InvalidTask) else f"repeat: {error}"
        return _unreadable(moved(task, status, now, event.instance, **told), event, reason, now)
    told |= found.told
    if isinstance(found, Over):
        told["note"] = found.note
        last = moved(task, status, now, event.instance, **told)
        if canceled:
            entry = history.entry(now, Status.CANCELED, event.instance)
            last |= {"status": Status.CANCELED.value, "history": [*last["history"], entry]}
        return last
    claim = task.get("claim")
    keeps = bool(claim) and event.keep is not None and found.at <= event.keep
    told["next"] = found.date
    move(task, status, now, event.instance, claim if keeps else None, told)
    task["date"], task["occurrence"], task["attempt"] = found.date, found.fields, 0
    task["status"] = Status.SCHEDULED.value if keeps else Status.WAITING.value
    return task


def _unreadable(ran: Document, event: Ended, reason: str, now: int) -> Document:
    """End a series whose `repeat` was changed during its run to what is none; the run itself is told as it was."""
    error = {"type": "InvalidTask", "message": reason}
    told = history.entry(now, Status.ERR, event.instance, error=error)
    return {**ran, "status": Status.ERR.value, "error": error, "history": [*ran["history"], told]}


def _stopped(task: Document, event: Ended, now: int, told: dict[str, Any]) -> Document:
    """A stopped run ends as what was asked for: canceled, or back to waiting for a task that was rescheduled.

    A run that was stopped so that its worker can end is no try that failed: it does not count against the limit.
    """
    stopped = moved(task, given_back(task), now, event.instance, **told)
    if event.started is not None and stopped["status"] == Status.WAITING:
        stopped["attempt"] = max(attempt_of(stopped) - 1, 0)
    return stopped


def lost(task: Document, event: Lost, now: int) -> Document:
    """Give the task whose holder is gone: to be run again or, where it runs at most once, failed."""
    policy = retry.policy_of(task, event.policy)
    ran = "died while it ran" if status_of(task) == Status.RUNNING else "died; it may have begun to run"
    note = f"its worker {event.holder} {ran}"
    unasked = status_of(task) in HELD or status_of(task) == Status.WAITING
    if unasked and policy is not None and not policy.on_lost:
        return ended(task, Ended(event.instance, failed(LOST, note, final=True)), now)
    return moved(task, given_back(task), now, event.instance, note=note)


def _plain(error: Struct) -> Document:
    return {key: value for key, value in msgspec.structs.asdict(error).items() if value is not None}
