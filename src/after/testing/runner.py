"""Running what is due by a clock that is turned: each task at its instant, in order, one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from after.clock import now
from after.database import Database
from after.dates import format_instant
from after.jobs.job import Job
from after.status import ENDED
from after.task import Document
from after.testing.clock import TurnableClock
from after.testing.place import INSTANCE, Decision, Place
from after.testing.waiting import Waiting
from after.worker.held import order
from after.worker.plan import Plan, plan

PAGE = 25
"""Tasks read at once: few, since most tests have few, and every step of the clock reads them anew."""
MAX_RUNS = 10_000
"""How many runs there may be at one instant; more is taken for a task that puts itself again and again."""


class _Seen(NamedTuple):
    """Tasks by the date at which a worker has to act on them; of each worker's name all up to `bound`, and the next."""

    tasks: list[tuple[int, Document]]
    bound: float

    def due(self, instant: int) -> list[Document]:
        """Give what is due at an instant, in order."""
        return sorted((task for date, task in self.tasks if date <= instant), key=order)

    def next(self, instant: int) -> float:
        """Give the first date after an instant, infinity where there is none."""
        return min((date for date, _ in self.tasks if date > instant), default=math.inf)


class Runner:
    """Takes the part of the workers of all names, with these jobs. It is one call of `run_due` or `run_until`."""

    def __init__(self, database: Database, clock: TurnableClock, jobs: Mapping[str, Job]) -> None:
        self._database = database
        self._clock = clock
        self._jobs = jobs
        self._place = Place(database, clock, jobs)
        self._waiting = Waiting(database, clock)
        self._ran: list[Document] = []

    async def run_due(self) -> list[Document]:
        """Run all that is due now, and all that becomes due by it, and give each task that ran, as stored then."""
        await self._run_due()
        return self._ran

    async def run_until(self, instant: int) -> list[Document]:
        """Turn the clock from one due date to the next, up to an instant, and run at each what is due then."""
        seen = await self._run_due()
        while now(self._clock) < instant:
            date = min(seen.next(now(self._clock)), instant)
            self._clock.advance(int(date) - now(self._clock))
            seen = await self._run_due(seen if date < seen.bound else None)
        return self._ran

    async def _run_due(self, seen: _Seen | None = None) -> _Seen:
        """Run all that is due until a look finds nothing, and give what it saw; `seen` is what an earlier one saw."""
        instant, before = now(self._clock), len(self._ran)
        while True:
            known = seen or await self._look()
            worked = await self._work(known)
            if not (worked or seen or await self._waiting.free(self._ran)):
                return known
            seen = None
            if now(self._clock) != instant:
                instant, before = now(self._clock), len(self._ran)
            elif len(self._ran) - before > MAX_RUNS:
                raise RuntimeError(
                    f"there were {MAX_RUNS} runs at {format_instant(instant)} and still there is something to run, "
                    f"{self._ran[-1]['_id']!r} among it: does a job put its own task again, at once?"
                )

    async def _work(self, seen: _Seen) -> bool:
        """Do what is to be done about the tasks that are due; False where there is nothing."""
        decided = [(task, self._decision(task)) for task in seen.due(now(self._clock))]
        wanted = [(task, decision) for task, decision in decided if decision not in (Plan.LEAVE, Plan.BLOCKED)]
        for task, decision in wanted:
            ran = await self._place.work(task, decision)
            if any(task["status"] in ENDED for task in ran):
                self._waiting.look()
            self._ran += ran
        return bool(wanted)

    def _decision(self, task: Document) -> Decision:
        instant = now(self._clock)
        return plan(task, instant, instant, INSTANCE, self._jobs)

    async def _look(self) -> _Seen:
        """Read the view `due`: of each worker's name all that is due, and the first that is not.

        Its rows stand by name and then by date. What is left of a name's rows after the first one of the future is
        skipped, so that a test with many tasks to come reads little of them.
        """
        instant, bound = now(self._clock), math.inf
        found: list[tuple[int, Document]] = []
        start: dict[str, object] = {}
        while True:
            rows = await self._database.view("due", **start, limit=PAGE, include_docs=True)
            found += [(row.key[1], row.doc) for row in rows if row.doc is not None]
            if len(rows) < PAGE:
                return _Seen(found, bound)
            name, date = rows[-1].key
            if date > instant:
                bound, start = min(bound, date), {"startkey": [name, {}]}
            else:
                start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id, "skip": 1}
