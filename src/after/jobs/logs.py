"""What jobs write by Python's `logging`, as lines of their task's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from after.jobs.context import CURRENT, MAX_LINE, TaskContext

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""How After writes records to the standard error output."""

TAKEN = "after_taken"
"""The attribute of a record that is in a log: where two workers share a process, it comes by two handlers."""


class Capture(logging.Handler):
    """Adds records to the log of the task whose job wrote them; in a process of one job, to that of `only`.

    A line is `LEVEL name: message`, with the traceback below where there is one. Records of After's own are no job's.
    """

    def __init__(self, only: TaskContext | None = None) -> None:
        super().__init__()
        self._only = only

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record."""
        task = self._only or CURRENT.get()
        if task is None or TAKEN in vars(record) or record.name == "after" or record.name.startswith("after."):
            return
        vars(record)[TAKEN] = True
        try:
            task.log(self.format(record))
        except Exception:  # noqa: BLE001 - a record whose message does not fit its arguments is no end of the job
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record: of one that is too long, the message and the end of the traceback."""
        line = f"{record.levelname} {record.name}: {record.getMessage()}"
        if not record.exc_info:
            return line
        trace = logging.Formatter().formatException(record.exc_info)
        line = line[: MAX_LINE // 2]
        return f"{line}\n{trace[len(line) + 1 - MAX_LINE :]}"


@contextmanager
def capturing() -> Iterator[None]:
    """Capture what jobs write by `logging`, for the length of a block."""
    root, handler = logging.getLogger(), Capture()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
