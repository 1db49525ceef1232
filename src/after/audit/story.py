"""Reading the history of a task, entry by entry, into the occurrences that it tells of."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from after.audit.occurrence import Before, Occurrence, Opened, became, delay, failure
from after.audit.row import Row, Subject
from after.dates import format_instant, parse_instant
from after.lifecycle import FREED
from after.status import ENDED, Status
from after.task import Document


class Gap(Struct, frozen=True):
    """Occurrences that did not run, from one to another, as the history says; `count` None: very many."""

    first: int
    last: int
    count: int | None
    note: str | None
    status: str


class Story:
    """What a history tells. `rows` are about what has ended, `open` is what has not, `gaps` what did not run."""

    def __init__(self, task: Document, tolerance: int) -> None:
        self.rows: list[tuple[int, Row]] = []
        self.gaps: list[Gap] = []
        self.open: Occurrence | None = None
        self.ended: int | None = None
        """When the task ended, None while it goes on."""
        self._task = task
        self._subject = Subject.of(task)
        self._tolerance = tolerance
        self._due: int | None = None
        self._before = Before()

    def read(self, entry: Document) -> None:
        """Read the next entry; one that cannot be read tells nothing."""
        at = instant(entry.get("at"))
        if at is None:
            return
        status, date = entry.get("status"), instant(entry.get("date"))
        missed = self._left_out(entry)
        if status in ENDED:
            self._end(entry, str(status), at, date, missed)
        elif status in (Status.SCHEDULE, Status.RESCHEDULE):
            self._ask(entry, str(status), at, date)
        elif status == Status.CANCEL:
            self._current().asked = f"canceled by {entry.get('by')}"
        elif status == Status.RUNNING:
            self._current().start(at, number(entry.get("lateness_ms")), entry.get("attempt"))
        elif status == Status.SCHEDULED:
            self._claim(at, date)
        elif status == Status.WAITING:
            self._wait(entry, at, date)
        if entry.get("note") == FREED and self.open is not None:
            self.open.freed = at

    def _left_out(self, entry: Document) -> bool:
        missed = entry.get("missed")
        if not isinstance(missed, dict):
            return False
        first, last, count = instant(missed.get("first")), instant(missed.get("last")), missed.get("count")
        if first is not None and last is not None:
            known = count if isinstance(count, int) else None
            self.gaps.append(Gap(first, last, known, entry.get("note"), self._subject.status))
        return True

    def _current(self) -> Occurrence:
        """Give the occurrence that entries are about; where its beginning is not told the date may be unknown."""
        if self.open is None:
            self.open = Occurrence(self._due, None, "put")
        return self.open

    def _begin(self, due: int | None, at: int, kind: Opened) -> Occurrence:
        self.ended = None
        if kind != "next":
            self._before.put, self._before.moved = at, kind == "moved"
        self._due = due
        self.open = Occurrence(due, at, kind)
        return self.open

    def _claim(self, at: int, date: int | None) -> None:
        current = self._current()
        if date is not None:  # a repeating task was moved to the occurrence that is to run
            current.due = self._due = date
        late = current.due is not None and at > current.due + self._tolerance
        if late and (current.opened is None or current.opened <= (current.due or 0)) and current.freed is None:
            self._before.absent = max(self._before.absent, at)
        current.claim(at)

    def _wait(self, entry: Document, at: int, date: int | None) -> None:
        current = self.open
        if current is None:
            kind: Opened = "put" if self._due is None else "moved"
            self._begin(date if date is not None else self._due, at, kind)
            return
        error, note = entry.get("error"), entry.get("note")
        if "lateness_ms" in entry:  # the start of this run is told with its end
            current.start(_start(entry, at), number(entry["lateness_ms"]), entry.get("attempt"))
        if error is not None:
            current.note(f"tried again after {failure(error)}")
        elif note is not None and note != FREED and "missed" not in entry:
            current.note(note)
        if date is not None and error is None and entry.get("by") is not None:
            current.due = self._due = date

    def _ask(self, entry: Document, status: str, at: int, date: int | None) -> None:
        current = self.open
        by = entry.get("by")
        if current is None:
            due = date if date is not None else self._due
            self._begin(due, at, "put" if self.ended is None and self._due is None else "again")
            if self.rows and self.open is not None:
                self.open.note(f"asked for once more by {by}")
            return
        if date is None or date == current.due:
            return
        if current.due is not None and at > current.due + self._tolerance:
            self._leave(current, at, date)
        moved = f"rescheduled from {format_instant(current.due)} by {by}" if current.due is not None else None
        self._begin(date, at, "moved").note(moved)

    def _leave(self, current: Occurrence, at: int, date: int) -> None:
        """Tell of what was due and not done when a client moved it away."""
        to = f"it was moved to {format_instant(date)}"
        if current.last is not None:
            self._tell(current, "canceled", "canceled", f"its run was stopped at {format_instant(at)}: {to}")
        else:
            self._tell(current, "missed", self._subject.status, f"at {format_instant(at)}, before it had begun, {to}")

    def _tell(self, current: Occurrence, outcome: Any, status: str, why: str | None, **more: Any) -> None:
        if current.due is not None:
            row = self._subject.row(current.due, outcome, status, **current.told(), why=why, **more)
            self.rows.append((current.due, row))

    def _end(self, entry: Document, status: str, at: int, date: int | None, missed: bool) -> None:
        current = self._current()
        ran = "duration_ms" in entry or "attempt" in entry
        if "lateness_ms" in entry:
            current.start(_start(entry, at), number(entry["lateness_ms"]), entry.get("attempt"))
        if date is not None:
            current.due = date
        following = instant(entry.get("next"))
        if ran or date is not None or not missed:  # a series that ends because its rest was missed ends without a run
            lateness = current.lateness()
            if lateness is None and current.due is not None and not ran and status == "done":
                lateness = max(at - current.due, 0)
            is_late = lateness is not None and lateness > self._tolerance
            outcome = became(status, entry, is_late, current.first is not None)
            self._tell(
                current, outcome, status, self._why(current, entry, status, ran),
                duration_ms=number(entry.get("duration_ms")),
            )  # fmt: skip
        self._before.run = current.last
        self.open = None
        self._due = current.due
        if following is not None:
            self._begin(following, at, "next")
        else:
            self.ended = at

    def _why(self, current: Occurrence, entry: Document, status: str, ran: bool) -> str | None:
        reasons = [delay(current, self._task, self._before, self._tolerance)]
        reasons += current.notes
        if status == "err":
            reasons.append(failure(entry.get("error")) if "error" in entry else f"set by {entry.get('by')}")
        elif status == "canceled":
            reasons.append(current.asked or f"canceled by {entry.get('by')}")
        elif not ran:
            reasons.append(f"set to {status} by {entry.get('by')}")
        return "; ".join(filter(None, reasons)) or None


def instant(text: object) -> int | None:
    """Read an instant of an entry; None where it is none: documents may be written by anybody."""
    try:
        return parse_instant(text) if isinstance(text, str) else None
    except ValueError:
        return None


def number(value: object) -> float | None:
    """Read a number of an entry."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _start(entry: Document, at: int) -> float:
    """Give when a run began whose start is told with its end."""
    return at - (number(entry.get("duration_ms")) or 0.0)
