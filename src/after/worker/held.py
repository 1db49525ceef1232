"""A task in a worker's memory."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from after import history
from after.events import Ended, Finished, Released, Started
from after.events import Lost as LostEvent
from after.jobs.context import TaskContext
from after.lifecycle import apply
from after.outcome import Outcome
from after.status import HELD, Status
from after.task import Document, due
from after.timers import Timer

Answer = Ended | Released | LostEvent | Finished
"""The last thing that this process has to say about a task; when it is written, the task is forgotten."""


class Held(Struct, eq=False):
    """A task that this process has claimed, or has to say something about.

    `document` is the revision that the database is known to have; `started` and `answer` are what it does not know yet,
    or may not; `newer` is a revision of somebody else's that came while a write of ours was under way. `order` is what
    tasks that wait for a place are ordered by; `told` that its job was told to end.

    A repeating task goes on before the database has heard of the run before: `ended` are such runs, with the instants
    of their ends, and `ahead` is the document with them. However slow the database is, the next run is in time, and
    several runs may go into one write.
    """

    document: Document
    ended: list[tuple[int, Ended]] = []
    ahead: Document | None = None
    order: tuple[int, int, str] = (0, 0, "")
    timer: Timer | None = None
    run: asyncio.Task[Outcome] | None = None
    context: TaskContext | None = None
    started: Started | None = None
    answer: Answer | None = None
    sent: Document | None = None
    sent_ended: int = 0
    archive: Document | None = None
    newer: Document | None = None
    reported: float = 0.0
    dropped: bool = False
    told: bool = False
    refused: bool = False
    stalled: bool = False
    gathering: bool = False
    id: str = ""

    def __post_init__(self) -> None:
        self.id = self.document["_id"]  # asked for so often that a look into the document counts

    @property
    def current(self) -> Document:
        """The task as it is when all runs of it are told that have ended and were gone on from."""
        return self.document if self.ahead is None else self.ahead

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

    def goes_on(self, now: int) -> bool:
        """Keep a repeating task for its next occurrence, now that a run has ended; False where it is to be let go."""
        assert isinstance(self.answer, Ended)
        ahead = apply(self.current, self.answer, now)
        if ahead["status"] != Status.SCHEDULED:
            return False
        if self.context is not None:
            ahead |= self.context.said()
        self.ended.append((now, self.answer))
        self.ahead = ahead
        self.started = self.answer = self.run = self.context = None
        self.told = False
        self.order = order(ahead)
        return True

    def rebase(self, document: Document) -> None:
        """Take another revision for what the database has, and tell on it what has ended."""
        self.document = document if self.archive is None else history.cut(document, self.archive)
        self.ahead = _with(self.document, self.ended) if self.ended else None

    def report(self, now: int) -> Document:
        """Give the document that tells the database all that it does not know yet, and note that it is sent."""
        told = self.current
        if self.answer is not None:
            if not self.ended or told["status"] in HELD or getattr(self.answer, "started", None) is not None:
                told = apply(told, self.answer, now)
        elif self.started is not None and told["status"] == Status.SCHEDULED:
            told = apply(told, self.started, now)
        if self.context is not None and (said := self.context.said()):
            told = {**told, **said}
        if told["_rev"] != self.document["_rev"]:
            told = {**told, "_rev": self.document["_rev"]}
        self.sent_ended = len(self.ended)
        return history.packed(told)

    def taken(self, rev: str) -> None:
        """Note that the database has taken what was sent, as the revision `rev`."""
        assert self.sent is not None
        document, self.sent = self.sent, None
        document["_rev"] = rev
        del self.ended[: self.sent_ended]
        self.rebase(document)

    def forget_ended(self) -> None:
        """Give up the runs that cannot be told, and what would follow on them."""
        self.ended, self.ahead = [], None
        if self.timer is not None:
            self.timer.cancel()
        if self.answer is not None:
            self.stop()

    def cut(self, archive: Document) -> None:
        """Leave out the entries of an archive that is stored, also in revisions that come with them once more."""
        self.archive = archive
        self.document = history.cut(self.document, archive)
        if self.ahead is not None:
            self.ahead = history.cut(self.ahead, archive)


def _with(document: Document, ended: list[tuple[int, Ended]]) -> Document:
    """Tell ended runs on a document. Where a client has stopped or moved the task meanwhile, that stands."""
    for at, event in ended:
        if document.get("claim"):
            document = apply(document, event, at)
        else:
            note = f"another run ended meanwhile: {type(event.outcome).__name__.lower()}"
            entry = history.entry(at, document["status"], event.instance, duration_ms=event.duration, note=note)
            document = {**document, "history": [*document["history"], entry]}
    return document


def order(document: Document) -> tuple[int, int, str]:
    """What tasks are ordered by: date, then priority, then id."""
    return due(document), -(document.get("priority") or 0), str(document["_id"])


def generation(document: Document) -> int:
    """Give the number of a document's revision."""
    return int(document["_rev"].partition("-")[0])
