"""When a task that is posted again is the same task: a client that heard no answer asks once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from after.task import WORKER_FIELDS, Document

_NOT_COMPARED = WORKER_FIELDS | {"type", "status", "date", "_id", "_rev"}


def difference(given: Mapping[str, Any], stored: Document, date: str | None = None) -> str | None:
    """Give the first field in which a task that was posted again differs from the stored one, None where in none.

    What workers write is not compared; the date is, where `date` is given, with the one that the task was made with.
    """
    for field in sorted((given.keys() | stored.keys()) - _NOT_COMPARED):
        if given.get(field) != stored.get(field):
            return field
    history = stored.get("history") or [{}]
    if date is not None and _tells_date(stored) and date != history[0].get("date", stored.get("date")):
        return "date"
    return None


def _tells_date(stored: Document) -> bool:
    """Tell whether the first entry of a task's history has the date that the task was made with.

    The oldest entries of a long history are in archives, and one that repeats by a rule begins at its first occurrence.
    """
    repeat = stored.get("repeat")
    by_rule = isinstance(repeat, dict) and (repeat.get("cron") is not None or repeat.get("rrule") is not None)
    return not stored.get("archived") and not by_rule
