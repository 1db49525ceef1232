"""The whole history of a task: its oldest entries stand in documents of their own, a hundred in each.

How they are numbered is told in `after.history`. An archive may be there before the task is cut: what counts is
`archived` alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from after.history import ARCHIVED, archive_id
from after.server.rows import Edit
from after.server.store import Store
from after.task import Document


class _Archive(msgspec.Struct):
    type: Any = None
    task: Any = None
    history: Any = None


_decode = msgspec.json.Decoder(_Archive).decode


def archived(task: Document) -> int:
    """Give how many entries of a task's history are in archives."""
    return task.get("archived") or 0


def length(task: Document) -> int:
    """Give how many entries the whole history of a task has."""
    return archived(task) + len(task.get("history") or ())


def entries(store: Store, task: Document, first: int, last: int) -> list[Any]:
    """Give the entries from number `first` to before `last`; those of an archive that is not there are left out."""
    old = archived(task)
    found: list[Any] = []
    for number in range(first // ARCHIVED, -(-min(last, old) // ARCHIVED)):
        start = number * ARCHIVED
        found += _archive(store, task["_id"], number)[max(first - start, 0) : min(last, old) - start]
    return found + (task.get("history") or [])[max(first - old, 0) : max(last - old, 0)]


def _archive(store: Store, identity: str, number: int) -> list[Any]:
    row = store.get(archive_id(identity, number))
    if row is None or row.deleted:
        return []
    archive = _decode(row.body)
    is_ours = archive.type == "history" and archive.task == identity and isinstance(archive.history, list)
    return archive.history if is_ours else []


def deletions(store: Store, task: Document) -> tuple[Edit, ...]:
    """Give the edits that delete a task's archives, also the one that the task has not been cut for yet."""
    if not archived(task) and len(task.get("history") or ()) < ARCHIVED:
        return ()
    ids = [archive_id(task["_id"], number) for number in range(archived(task) // ARCHIVED + 1)]
    rows = [row for row in map(store.get, ids) if row is not None and not row.deleted]
    if rows and len(store.leaves(task["_id"])) > 1:
        return ()  # another leaf takes the task's place, and the archives are its own too
    return tuple(Edit(row.id, row.rev, {}, b"{}", None, deleted=True) for row in rows)
