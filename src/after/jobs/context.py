"""What a running job sees of its task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

from after.clock import Clock
from after.dates import format_instant
from after.history import unpacked
from after.task import Document

LOG_LINES = 100
MAX_LINE = 4096

NOTHING: Mapping[str, Any] = {}


class TaskContext:
    """The task of a running job, given to it as the keyword argument `task`. Usable from the job's own thread.

    `told` is called, from whatever thread, when there is news for `said` since it was last asked. There is one of these
    for every run, so it costs little.
    """

    __slots__ = ("_attempt", "_canceled", "_clock", "_document", "_log", "_news", "_progress", "_results", "_told")

    def __init__(
        self,
        document: Document,
        attempt: int,
        clock: Clock,
        told: Callable[[], object],
        results: Mapping[str, Any] = NOTHING,
    ) -> None:
        self._document = document
        self._attempt = attempt
        self._clock = clock
        self._told = told
        self._results = results
        self._canceled = False
        self._news = False
        self._log: deque[Document] = deque(maxlen=LOG_LINES)
        self._progress: Document | None = None

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self._document["_id"])

    @property
    def attempt(self) -> int:
        """The number of this try, from 1."""
        return self._attempt

    @property
    def data(self) -> Document:
        """A copy of the task's document, the user's own fields included."""
        return deepcopy(unpacked(self._document))

    @property
    def results(self) -> dict[str, Any]:
        """A copy of the results of the tasks that this one waited for, by their ids."""
        return deepcopy(dict(self._results))

    @property
    def canceled(self) -> bool:
        """Whether the job was asked to end. A job in a thread should look at it now and then."""
        return self._canceled

    def progress(self, fraction: float | None = None, text: str | None = None) -> None:
        """Say how far the job is, from 0 to 1, for everyone who looks at the task."""
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction: expected a number from 0 to 1, got {fraction!r}")
        self._progress = {"fraction": fraction, "text": None if text is None else _line(text)}
        self._tell()

    def log(self, text: object) -> None:
        """Add a line to the task's log; the last 100 of a run are kept."""
        self._add({"at": format_instant(int(self._clock.time() * 1000)), "text": _line(text)})

    def hear_results(self, results: Mapping[str, Any]) -> None:
        """Take in what the tasks returned that this one waited for."""
        self._results = results

    def cancel(self) -> None:
        """Ask the job to end; `canceled` becomes true."""
        self._canceled = True

    def said(self) -> Document:
        """Give the fields of the task that the job has written so far."""
        self._news = False  # first: what is said from here on is told anew
        said: Document = {}
        if self._progress is not None:
            said["progress"] = self._progress
        if self._log:
            said["log"] = list(self._log)
        return said

    def take(self) -> Document:
        """Give what was said since this was last asked, in the form of `said`."""
        self._news = False
        taken: Document = {}
        progress, self._progress = self._progress, None
        if progress is not None:
            taken["progress"] = progress
        lines = []
        while self._log:  # popped one by one, as other threads add to them
            lines.append(self._log.popleft())
        if lines:
            taken["log"] = lines
        return taken

    def hear(self, taken: Document) -> None:
        """Let the job have said what `take` gave where it runs, in another process."""
        if "progress" in taken:
            self._progress = taken["progress"]
            self._tell()
        for line in taken.get("log", ()):
            self._add(line)

    def _add(self, line: Document) -> None:
        self._log.append(line)
        self._tell()

    def _tell(self) -> None:
        if not self._news:
            self._news = True
            self._told()


CURRENT: ContextVar[TaskContext | None] = ContextVar("task", default=None)
"""The task whose job runs here."""


def _line(text: object) -> str:
    """Give a text short enough for a task, without what UTF-8 cannot carry."""
    return str(text)[:MAX_LINE].encode("utf-8", "replace").decode()
