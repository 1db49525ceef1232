"""What a running job sees of its task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import deepcopy

from after.clock import Clock
from after.dates import format_instant
from after.task import Document

LOG_LINES = 100
MAX_LINE = 4096


class TaskContext:
    """The task of a running job, given to it as the keyword argument `task`. Usable from the job's own thread."""

    def __init__(self, document: Document, attempt: int, clock: Clock, told: Callable[[], None]) -> None:
        self._document = document
        self._attempt = attempt
        self._clock = clock
        self._told = told
        self._canceled = False
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
        return deepcopy(self._document)

    @property
    def canceled(self) -> bool:
        """Whether the job was asked to end. A job in a thread should look at it now and then."""
        return self._canceled

    def progress(self, fraction: float | None = None, text: str | None = None) -> None:
        """Say how far the job is, from 0 to 1, for everyone who looks at the task."""
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction: expected a number from 0 to 1, got {fraction!r}")
        self._progress = {"fraction": fraction, "text": text}
        self._told()

    def log(self, text: object) -> None:
        """Add a line to the task's log; the last 100 of a run are kept."""
        line = str(text).encode("utf-8", "replace").decode()[:MAX_LINE]
        self._log.append({"at": format_instant(int(self._clock.time() * 1000)), "text": line})
        self._told()

    def cancel(self) -> None:
        """Ask the job to end; `canceled` becomes true."""
        self._canceled = True

    def said(self) -> Document:
        """Give the fields of the task that the job has written so far."""
        said: Document = {}
        if self._progress is not None:
            said["progress"] = self._progress
        if self._log:
            said["log"] = list(self._log)
        return said
