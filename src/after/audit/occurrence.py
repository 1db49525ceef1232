"""One occurrence of a task while its history is read: when it was due, what happened to it, and why that was so."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from after.audit.row import Outcome
from after.dates import format_instant
from after.task import Document

Opened = Literal["put", "moved", "again", "next"]
"""How an occurrence came to be: put by a client, moved by one, asked for once more, or the next of a series."""
NAMED = 3
"""How many ids of other tasks a reason names."""


class Run(Struct):
    """A run: when it began, in ms, and by how much that was late; None where that is not told."""

    start: float
    lateness: float | None


class Occurrence(Struct):
    """What is known of an occurrence so far; instants in ms.

    `due` is its date, `opened` when it came to be, `claimed` when a worker process took it for the first time.
    """

    due: int | None
    opened: int | None
    kind: Opened
    claimed: int | None = None
    freed: int | None = None
    first: Run | None = None
    last: Run | None = None
    attempts: int = 0
    asked: str | None = None
    notes: list[str] = []

    def claim(self, at: int) -> None:
        """A worker process has it."""
        if self.claimed is None:
            self.claimed = at

    def start(self, start: float, lateness: float | None, attempt: object) -> None:
        """A run begins."""
        self.last = Run(start, lateness)
        if self.first is None:
            self.first = self.last
        self.attempts = attempt if isinstance(attempt, int) else self.attempts + 1

    def note(self, text: object) -> None:
        """Remember something that explains what becomes of it."""
        if isinstance(text, str) and text not in self.notes:
            self.notes.append(text)

    def lateness(self) -> float | None:
        """Give how late the last run began after the date of the occurrence, whatever date its try had; in ms."""
        if self.first is None or self.last is None:
            return None
        if self.last is self.first:
            if self.last.lateness is not None or self.due is None:
                return self.last.lateness
            return max(self.last.start - self.due, 0.0)
        # What the first run was late for is where the occurrence's time really was, its jitter included.
        due = self.due if self.first.lateness is None else self.first.start - self.first.lateness
        return None if due is None else round(max(self.last.start - due, 0.0), 3)

    def told(self) -> dict[str, Any]:
        """Give what a row says of the run."""
        lateness = self.lateness()
        return {
            "started": None if self.last is None else format_instant(int(self.last.start)),
            "lateness_ms": None if lateness is None else round(lateness, 3),
            "attempts": self.attempts or None,
        }


def became(status: str, entry: Document, late: bool, started: bool) -> Outcome:
    """Give the outcome of what has ended in a status."""
    if status == "canceled":
        return "canceled"
    if status == "err":
        expired = isinstance(entry.get("error"), dict) and entry["error"].get("type") == "Expired"
        return "missed" if expired and not started else "failed"
    return "late" if late else "on_time"


class Before(Struct):
    """What is known of the time before an occurrence: the last run, until when the worker was not there, in ms.

    `put` is when a client put or moved the task.
    """

    run: Run | None = None
    absent: int = 0
    put: int = 0
    moved: bool = False


def delay(occurrence: Occurrence, task: Document, before: Before, tolerance: int) -> str | None:
    """Say why the first run of an occurrence began late; None where it did not."""
    first, due, absent = occurrence.first, occurrence.due, before.absent
    if first is None or due is None or (first.start - due if first.lateness is None else first.lateness) <= tolerance:
        return None
    if occurrence.freed is not None and occurrence.freed > due:
        return awaited(task)
    if before.put > due:
        how = "it was given a date that had passed" if before.moved else "it was put after its date"
        return f"{how}, at {format_instant(before.put)}"
    opened = occurrence.opened
    if opened is not None and opened > due and before.run is not None and before.run.start <= due:
        return f"held back by the run before, until {format_instant(opened)}"
    claimed = occurrence.claimed
    is_late = claimed is not None and claimed > due + tolerance
    until = format_instant(claimed if is_late and claimed is not None and absent <= due else absent)
    if is_late and task.get("key") is not None:
        return f"it waited for others of the key {task['key']!r}, or for its worker, until {until}"
    if absent > due or is_late:
        return f"its worker was not there, or had no room, until {until}"
    return "it waited for a place: the worker was busy"


def awaited(task: Document) -> str:
    """Say which tasks one has waited for."""
    after = task.get("after")
    ids = [repr(one) for one in after] if isinstance(after, list) else []
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"waited for {', '.join(ids[:NAMED])}{more}"


def failure(error: object) -> str:
    """Say an error in words."""
    if not isinstance(error, dict):
        return "an error"
    return f"{error.get('type')}: {error.get('message')}"
