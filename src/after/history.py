"""The history of a task: its entries, and the archives that the oldest of them go to.

The document of a task keeps its newest entries, so that a task that repeats a million times stays small. Older ones
stand in documents `history:ID:N` of ARCHIVED entries each, N = 0, 1, 2…; `archived` of the task is how many those are
together. Entry number i (from 0) of the whole history is therefore in archive i // ARCHIVED where i < archived, and in
the task itself, at i - archived, otherwise.

An archive is written first, and the task without those entries only when that is known to be stored: a cluster may take
one document of a write and not the other.

A worker writes what it holds again and again, and most of a document is history. So it keeps the older entries as
JSON, in blocks (`packed`): they are not encoded anew for every write, nor looked at by the garbage collector, and take
a third of the memory. The newest entry is never in a block.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from after.dates import format_instant
from after.status import HELD, Status
from after.task import Document

ARCHIVED = 100
"""Entries of an archive."""
KEPT = 20
"""The newest entries, which stay with the task when others are archived."""
PREFIX = "history:"
BLOCK = 10
"""Entries of a block, which stands in a history as JSON, with commas between them."""

_encode = msgspec.json.Encoder().encode


def entry(now: int, status: str, by: str, **told: Any) -> Document:
    """Make an entry; what is None is left out."""
    if None in told.values():
        told = {name: value for name, value in told.items() if value is not None}
    return {"at": format_instant(now), "status": str(status), "by": by, **told}


def entries(task: Document) -> list[Document]:
    """Give the entries there are; a document written round the interface may have anything in this place."""
    history = task.get("history")
    if not isinstance(history, list):
        return []
    history = _whole(history)
    # Histories are long and nearly always sound: one look at all their types costs a fifth of a look at each.
    return history if set(map(type, history)) <= {dict} else [one for one in history if isinstance(one, dict)]


def packed(task: Document) -> Document:
    """Give a task with all but its newest entries in blocks, as it is where they are in blocks already."""
    history = task.get("history")
    if not isinstance(history, list):
        return task
    blocks = [one for one in history if type(one) is Raw]
    loose = history[len(blocks) :]
    if len(loose) <= BLOCK:
        return task
    full = (len(loose) - 1) // BLOCK * BLOCK
    blocks += [Raw(_encode(loose[start : start + BLOCK])[1:-1]) for start in range(0, full, BLOCK)]
    return {**task, "history": blocks + loose[full:]}


def unpacked(task: Document) -> Document:
    """Give a task without blocks, each entry by itself."""
    history = task.get("history")
    return {**task, "history": _whole(history)} if isinstance(history, list) else task


def _whole(history: list[Any]) -> list[Any]:
    if not history or type(history[0]) is not Raw:
        return history
    whole: list[Any] = msgspec.json.decode(_encode(history))
    return whole


def told(task: Document, now: int) -> list[Document]:
    """Give the history so far; a change that went round the interface has no entry of its own yet and gets one."""
    history, status = task.get("history"), task.get("status") or Status.WAITING
    # What a worker holds it has written itself; of anything else it is not known what stands there.
    if not task.get("claim") or not isinstance(history, list):
        history = entries(task)
    if history and (history[-1].get("status") == status or _goes_on(history[-1], status)):
        return history
    return [*history, entry(now, status, "document")]


def _goes_on(last: Document, status: str) -> bool:
    """Tell whether an entry is that of a finished run, after which a task waits, or is held, for the next."""
    return "next" in last and (status in HELD or status == Status.WAITING)


def archive(task: Document) -> Document | None:
    """Give the document that takes over the oldest entries of a task, None while there are not enough of them."""
    history = task.get("history")
    if not isinstance(history, list) or _length(history) < ARCHIVED + KEPT:
        return None
    history = unpacked(task)["history"]
    number = _archived(task) // ARCHIVED
    return {
        "_id": archive_id(task["_id"], number),
        "type": "history",
        "task": task["_id"],
        "number": number,
        "history": history[:ARCHIVED],
    }


def cut(task: Document, stored: Document) -> Document:
    """Give a task without the entries of an archive that is stored; as it is where they are not its oldest ones."""
    history = unpacked(task).get("history")
    if not isinstance(history, list) or stored["number"] != _archived(task) // ARCHIVED:
        return task
    if history[:ARCHIVED] != stored["history"]:
        return task
    return {**task, "history": history[ARCHIVED:], "archived": _archived(task) + ARCHIVED}


def _length(history: list[Any]) -> int:
    return sum(BLOCK if type(one) is Raw else 1 for one in history)


def archive_id(identity: str, number: int) -> str:
    """Give the id of an archive."""
    return f"{PREFIX}{identity}:{number}"


def archive_ids(task: Document) -> list[str]:
    """Give the ids of all archives of a task."""
    return [archive_id(task["_id"], number) for number in range(_archived(task) // ARCHIVED)]


def _archived(task: Document) -> int:
    archived = task.get("archived")
    return archived if isinstance(archived, int) else 0
