"""The rows of an audit, and what they sum up to."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from after.dates import format_instant
from after.task import Document

Outcome = Literal["on_time", "late", "failed", "missed", "skipped", "canceled", "pending", "running"]
OUTCOMES: tuple[Outcome, ...] = (
    "on_time", "late", "failed", "missed", "skipped", "canceled", "pending", "running",
)  # fmt: skip


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was due at `date`, and what became of it.

    `status` is the one that it ended with or, of what has not ended, the task's. `started` is when the run began that
    counts, the last one, `lateness_ms` how long after the date that was. Of many occurrences alike the last row stands
    for all from `date` to `last`; `count` is how many, None where that is not known.
    """

    id: str
    worker: str | None
    job: str
    date: str
    outcome: Outcome
    status: str
    started: str | None = None
    lateness_ms: float | None = None
    duration_ms: float | None = None
    attempts: int | None = None
    why: str | None = None
    last: str | None = None
    count: int | None = None


class Subject(Struct, frozen=True):
    """The task that rows are about."""

    id: str
    worker: str | None
    job: str
    status: str

    @classmethod
    def of(cls, task: Document) -> Subject:
        """Name a task; one that went round the engine's checks may have anything in the place of its job."""
        job, worker = task.get("job"), task.get("worker")
        name = job.get("name") if isinstance(job, dict) else job
        return cls(
            task["_id"], worker if isinstance(worker, str) else None, str(name), str(task.get("status") or "waiting")
        )

    def row(self, at: int, outcome: Outcome, status: str | None = None, **told: Any) -> Row:
        """Make a row about what was due at an instant."""
        return Row(
            id=self.id, worker=self.worker, job=self.job, date=format_instant(at), outcome=outcome,
            status=status or self.status, **told,
        )  # fmt: skip


class Summary:
    """Counts by outcome, and how late was what has started, of rows that come one by one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lateness: list[float] = []

    def add(self, row: Row) -> None:
        """Count a row."""
        self.counts[row.outcome] += row.count or 1
        if row.lateness_ms is not None:
            self._lateness.append(row.lateness_ms)

    def lateness(self, part: float) -> float | None:
        """Give what that part of all lateness, 0 to 1, is not above, in ms; None where nothing has started."""
        if not self._lateness:
            return None
        ordered = sorted(self._lateness)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]

    def told(self) -> dict[str, object]:
        """Give the summary as JSON."""
        return {
            "counts": {outcome: self.counts[outcome] for outcome in OUTCOMES if self.counts[outcome]},
            "lateness_ms": {"p50": self.lateness(0.5), "p99": self.lateness(0.99)},
        }


encode = msgspec.json.Encoder().encode
