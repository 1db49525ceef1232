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
    if date is not None and date != history[0].get("date", stored.get("date")):
        return "date"
    return None
