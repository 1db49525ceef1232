"""A task in a worker's memory."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from after.jobs.context import TaskContext
from after.lifecycle import Ended, Released, Started, apply
from after.lifecycle import Lost as LostEvent
from after.outcome import Outcome
from after.status import Status
from after.task import Document, due
from after.timers import Timer

Answer = Ended | Released | LostEvent
"""The last thing that this process has to say about a task; when it is written, the task is forgotten."""


class Held(Struct, eq=False):
    """A task that this process has claimed, or has to say something about.

    `document` is the revision that the database is known to have; `started` and `answer` are what it does not know yet,
    or may not; `newer` is a revision of somebody else's that came while a write of ours was under way. `order` is what
    tasks that wait for a place are ordered by; `told` that its job was told to end.
    """

    document: Document
    order: tuple[int, int, str] = (0, 0, "")
    timer: Timer | None = None
    run: asyncio.Task[Outcome] | None = None
    context: TaskContext | None = None
    started: Started | None = None
    answer: Answer | None = None
    sent: Document | None = None
    newer: Document | None = None
    reported: float = 0.0
    dropped: bool = False
    told: bool = False
    refused: bool = False

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.document["_id"])

    def stop(self, *, again: bool = False) -> None:
        """Tell the job to end, where it runs. The task is its own until it has; `again` waits for it no longer."""
        if self.context is not None:
            self.context.cancel()
        if self.run is not None and (again or not self.told):
            self.told = True
            self.run.cancel()

    def drop(self) -> None:
        """Give up all that this process would still do with the task."""
        self.dropped = True
        if self.timer is not None:
            self.timer.cancel()
        self.stop()

    def report(self, now: int) -> Document:
        """Give the document that tells the database all that it does not know yet."""
        if self.answer is not None:
            told = apply(self.document, self.answer, now)
        elif self.started is not None and self.document["status"] == Status.SCHEDULED:
            told = apply(self.document, self.started, now)
        else:
            told = self.document
        said = None if self.context is None else self.context.said()
        return {**told, **said} if said else told


def order(document: Document) -> tuple[int, int, str]:
    """What tasks are ordered by: date, then priority, then id."""
    return due(document), -(document.get("priority") or 0), str(document["_id"])


def generation(document: Document) -> int:
    """Give the number of a document's revision."""
    return int(document["_rev"].partition("-")[0])
