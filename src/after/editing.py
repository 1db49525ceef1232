"""Changing many tasks at once: which are meant, and what becomes of each. Pure: reading and writing are elsewhere.

An edit cancels tasks, reschedules them, or runs them again. What becomes of a task is decided by `after.lifecycle`, as
where a client asks for it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from after import lifecycle
from after.dates import format_instant, parse_elapsed, parse_instant
from after.errors import BadRequest, Conflict, Forbidden, InvalidTask, Refusal
from after.events import Requested
from after.status import ENDED, STATUSES, Role, Status, refused
from after.task import WORKER_FIELDS, Document, check, checked, converted, is_task

MAX_EDITED = 10_000
"""How many tasks one request changes."""


class Action(StrEnum):
    """What is done to each of the tasks."""

    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    AGAIN = "again"


_ASKED = {
    Action.CANCEL: Status.CANCEL.value,
    Action.RESCHEDULE: Status.RESCHEDULE.value,
    Action.AGAIN: Status.SCHEDULE.value,
}
_OPEN = (Status.WAITING, Status.SCHEDULE, Status.RESCHEDULE, Status.SCHEDULED)
SELECTED: Mapping[Action, tuple[Status, ...]] = {
    # Who moves all that is to come does not mean to stop what runs, nor to revive what somebody else is stopping.
    Action.CANCEL: (*_OPEN, Status.RUNNING),
    Action.RESCHEDULE: _OPEN,
    Action.AGAIN: tuple(sorted(ENDED)),
}
"""The statuses that are meant where a filter names none."""

Text = Annotated[str, Meta(min_length=1)]


class Selection(Struct, forbid_unknown_fields=True, rename={"low": "from", "high": "to"}):
    """Which tasks are meant, as it is written: those that fit all members."""

    worker: Annotated[Text, Meta(description="Only tasks of this worker")] | None = None
    status: Annotated[Text | list[Text], Meta(description="Only tasks in this status, or one of several")] | None = None
    tag: Annotated[Text, Meta(description="Only tasks that bear this tag")] | None = None
    low: Annotated[str, Meta(description="Only tasks of this date or later, in ISO 8601")] | None = None
    high: Annotated[str, Meta(description="Only tasks before this date, in ISO 8601")] | None = None
    ids: Annotated[list[Text], Meta(max_length=MAX_EDITED, description="Only these tasks")] | None = None
    all: Annotated[bool, Meta(description="True in place of all other members means every task")] = False


class Request(Struct, forbid_unknown_fields=True):
    """An edit, as it is written."""

    action: str
    filter: Selection
    by: Annotated[str, Meta(description="How far each date is moved: PT2H, or -PT2H to an earlier one")] | None = None
    date: Annotated[str, Meta(description="The new date: ISO 8601, or a duration from now")] | None = None
    changes: Annotated[dict[str, Any], Meta(description="Other fields that are changed")] | None = None
    dry_run: Annotated[bool, Meta(description="Tell what would become of the tasks, and change nothing")] = False
    limit: Annotated[int, Meta(ge=1, le=MAX_EDITED, description="How many tasks at most")] = MAX_EDITED
    cursor: Annotated[Text, Meta(description="What the answer before gave as its cursor")] | None = None


class Edit(Struct, frozen=True):
    """An edit that was checked. Instants are in ms, `low` inclusive and `high` not; None is no bound.

    `shift` is by how many ms each date moves. `ids` None means all tasks that fit.
    """

    action: Action
    statuses: tuple[str, ...]
    worker: str | None = None
    tag: str | None = None
    low: int | None = None
    high: int | None = None
    ids: tuple[str, ...] | None = None
    shift: int | None = None
    date: str | None = None
    changes: Document = {}

    def fits(self, document: Document) -> bool:
        """Tell whether a document, which is one of `ids` where those are given, is a task that is meant."""
        return (
            is_task(document)
            and (document.get("status") or Status.WAITING) in self.statuses
            and self.worker in (None, document.get("worker"))
            and (self.tag is None or self.tag in (document.get("tags") or ()))
            and ((self.low is None and self.high is None) or self._is_between(document))
            and not self._stands(document)
        )

    def _stands(self, document: Document) -> bool:
        """Tell whether a task is already as it would become: one that was moved to a date is met there once more."""
        if self.action != Action.RESCHEDULE or self.shift is not None:
            return False
        wanted = self.changes if self.date is None else {**self.changes, "date": self.date}
        return all(document.get(field) == value for field, value in wanted.items())

    def _is_between(self, document: Document) -> bool:
        try:
            at = _due(document) or 0
        except ValueError:
            return False
        return (self.low is None or self.low <= at) and (self.high is None or at < self.high)


def read(given: Document, now: int) -> tuple[Edit, Request]:
    """Check an edit as it was given, durations from `now` resolved; raise `BadRequest` or `Forbidden`."""
    asked: Request = converted(given, Request)
    if asked.action not in _ASKED:
        raise InvalidTask("action", f"{asked.action!r:.80} is not one of {', '.join(Action)}")
    action, chosen = Action(asked.action), asked.filter
    others = [chosen.worker, chosen.status, chosen.tag, chosen.low, chosen.high, chosen.ids]
    if chosen.all != (others == [None] * len(others)):
        raise BadRequest('filter: has to say which tasks are meant; every task is {"all": true}, alone')
    if chosen.ids is not None and asked.cursor is not None:
        raise BadRequest("cursor: does not go with ids")
    _check_change(action, asked)
    return Edit(
        action,
        _statuses(action, chosen),
        chosen.worker,
        chosen.tag,
        None if chosen.low is None else checked("filter.from", parse_instant, chosen.low),
        None if chosen.high is None else checked("filter.to", parse_instant, chosen.high),
        None if chosen.ids is None else tuple(dict.fromkeys(chosen.ids)),
        None if asked.by is None else checked("by", _signed, asked.by),
        None if asked.date is None else _date(asked.date, now),
        asked.changes or {},
    ), asked  # fmt: skip


def _check_change(action: Action, asked: Request) -> None:
    """Refuse at once what would be refused for each task."""
    if action == Action.CANCEL and (asked.by, asked.date, asked.changes) != (None, None, None):
        raise BadRequest("action: a task that is canceled takes no by, date or changes")
    if action == Action.RESCHEDULE and (asked.by, asked.date, asked.changes) == (None, None, None):
        raise BadRequest("action: to reschedule, say by how much, to which date, or what else changes")
    if asked.by is not None and (asked.date is not None or action == Action.AGAIN):
        raise BadRequest("by: does not go with a date, or with the action again")
    for field in asked.changes or ():
        if field in WORKER_FIELDS:
            raise Forbidden(f"changes.{field}: is set by workers only")
        if field in ("after", "date", "status", "type") or field.startswith("_"):
            raise BadRequest(f"changes.{field}: cannot be changed so")
    if asked.changes:
        check({"worker": "any", "job": "any", **asked.changes})


def _statuses(action: Action, chosen: Selection) -> tuple[str, ...]:
    if chosen.status is None:
        return tuple(Status) if chosen.ids is not None else SELECTED[action]
    named = chosen.status.split(",") if isinstance(chosen.status, str) else chosen.status
    for status in named:
        if status not in STATUSES:
            raise InvalidTask("filter.status", f"{status!r:.80} is not one of {', '.join(Status)}")
    return tuple(dict.fromkeys(named))


def _signed(text: str) -> int:
    """Read a duration of fixed length that may have a sign, and move something."""
    shift = -parse_elapsed(text[1:]) if text[:1] == "-" else parse_elapsed(text.removeprefix("+"))
    if not shift:
        raise ValueError(f"{text!r} moves nothing")
    return shift


def _date(text: str, now: int) -> str:
    if text[:1] != "P":
        return format_instant(checked("date", parse_instant, text))
    try:
        return format_instant(now + checked("date", parse_elapsed, text))
    except ValueError as error:
        raise InvalidTask("date", str(error)) from None


def edited(edit: Edit, task: Document, now: int, by: str = "client") -> Document:
    """Give what becomes of a task; raise `Forbidden` or `InvalidTask` where that may not be.

    Whether the task fits is not asked here: with ids, one that ended long ago is refused by name, not passed over.
    """
    if not is_task(task):
        raise InvalidTask("type", "this document is not a task")
    if reason := refused(task.get("status") or Status.WAITING, _ASKED[edit.action], Role.CLIENT):
        raise Forbidden(reason)
    changes = dict(edit.changes)
    if edit.date is not None:
        changes["date"] = edit.date
    elif edit.shift is not None:
        changes["date"] = _shifted(task, edit.shift, now)
    return lifecycle.apply(task, Requested(_ASKED[edit.action], changes, by), now)


def _shifted(task: Document, shift: int, now: int) -> str:
    try:
        due = _due(task)
        return format_instant((now if due is None else due) + shift)
    except ValueError as error:
        raise InvalidTask("date", str(error)) from None


def _due(task: Document) -> int | None:
    date = task.get("date")
    return parse_instant(date) if date else None


def again(edit: Edit, task: Document, now: int, by: str = "client") -> Document:
    """Decide anew on a task that somebody else has changed meanwhile; raise a `Refusal` where it is not meant now."""
    changed = edited(edit, task, now, by)
    if not edit.fits(task):
        raise Conflict("it was changed meanwhile, and the filter does not select it any more")
    return changed


def told(task: Document, changed: Document) -> Document:
    """Give the line that tells what became of a task."""
    return {
        "id": task["_id"], "worker": task.get("worker"), "status": task.get("status") or Status.WAITING.value,
        "date": task.get("date"), "becomes": {"status": changed["status"], "date": changed["date"]},
    }  # fmt: skip


def not_told(identity: str, error: Refusal) -> Document:
    """Give the line of a task that could not be changed."""
    return {"id": identity, "error": error.error, "reason": error.reason}


def answer(lines: Iterable[Document], *, dry_run: bool, cursor: str | None = None) -> Document:
    """Give what `POST /tasks/_edit` answers, of the lines of all tasks that were meant."""
    tasks: list[Document] = []
    refused: list[Document] = []
    for line in lines:
        (refused if "error" in line else tasks).append(line)
    return {
        "dry_run": dry_run, "matched": len(tasks) + len(refused), "changed": 0 if dry_run else len(tasks),
        "refused": refused, "tasks": tasks, "cursor": cursor,
    }  # fmt: skip
