"""One step of a task: its next status, with the entry that tells of it."""

from __future__ import annotations

from typing import Any

from after import history
from after.dates import format_instant, parse_instant
from after.errors import Forbidden
from after.status import ENDED, Role, Status, refused
from after.task import Document


def moved(task: Document, status: Status, now: int, by: str, claim: Document | None = None, **told: Any) -> Document:
    """Give the task in its next status, with an entry in its history, held by `claim` or by nobody."""
    step = task.copy()
    move(step, status, now, by, claim, told)
    return step


def move(task: Document, status: Status, now: int, by: str, claim: Document | None, told: dict[str, Any]) -> None:
    """Do to a task what `moved` gives; its history becomes another list."""
    if reason := refused(status_of(task), status, Role.WORKER):
        raise Forbidden(reason)
    entry = history.entry(now, status, by, **told)
    task["history"] = [*history.told(task, now), entry]
    task["type"], task["date"], task["status"] = "task", _date(task, now), entry["status"]
    if claim:
        task["claim"] = claim
    else:
        task.pop("claim", None)


def status_of(task: Document) -> str:
    """Give the status; without one a task waits."""
    return task.get("status") or Status.WAITING


def attempt_of(task: Document) -> int:
    """Give the number of the current or last run, 0 before the first."""
    attempt = task.get("attempt")
    return attempt if isinstance(attempt, int) else 0


def _date(task: Document, now: int) -> Any:
    """Give the date as it is stored; one that cannot be read stays, for the task has to end with its error."""
    date = task.get("date")
    if isinstance(date, str) and len(date) == 24 and date[7] == "-" and date[19] == "." and date[23] == "Z":
        return date  # it is in that form already
    try:
        return format_instant(parse_instant(date) if date else now)
    except ValueError:
        return date


def given_back(task: Document) -> Status:
    """Give the status of a task that its holder no longer holds: what a client asked for or wrote meanwhile stands."""
    status = status_of(task)
    if status == Status.CANCEL:
        return Status.CANCELED
    return Status(status) if status in ENDED else Status.WAITING


def without(task: Document, *fields: str) -> Document:
    """Give a copy without these fields."""
    kept = task.copy()
    drop(kept, *fields)
    return kept


def drop(task: Document, *fields: str) -> None:
    """Take these fields out of a task."""
    for field in fields:
        task.pop(field, None)
