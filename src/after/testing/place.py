"""The place of a worker where one task after another is claimed, run and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from after import history
from after.clock import now
from after.database import Database
from after.errors import Conflict, Refusal
from after.events import Claimed, Ended, Finished, Released, Started
from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.jobs.run import run
from after.lifecycle import apply
from after.outcome import Failed, Outcome, failed
from after.repeating import repeats
from after.status import ENDED, HELD, Status
from after.task import Document, due, holder_of
from after.testing.clock import TurnableClock
from after.worker.archiving import settle
from after.worker.held import Held, generation
from after.worker.plan import Plan, runnable
from after.worker.runs import outcome_of, seconds_of

Decision = Plan | Ended | Released | Finished

INSTANCE = "testing"
"""The name under which the history tells what was done here."""
UNHEARD_SECONDS = 0.02
"""How long a job may run, by the true time, before it is looked whether a client asks for its end."""


class Place:
    """Does with a task what a worker does, by the same rules, and waits until all of it is stored.

    What a worker leaves to time and chance is settled: a task is claimed when it is run, nothing is in memory before or
    after, and the jitter of retries is none.
    """

    def __init__(self, database: Database, clock: TurnableClock, jobs: Mapping[str, Job]) -> None:
        self._database = database
        self._clock = clock
        self._jobs = jobs

    async def work(self, task: Document, decision: Decision) -> list[Document]:
        """Carry out what was decided about a task; give it as it is stored after each run, or when it cannot be run.

        None of it where it was only put back, or somebody else was faster.
        """
        if decision is Plan.CLAIM:
            return await self._claim(task)
        assert not isinstance(decision, Plan)
        stored = await self._record(task, decision)
        return [] if stored is None or isinstance(decision, Released) else [stored]

    async def _claim(self, task: Document) -> list[Document]:
        claimed = apply(task, Claimed(INSTANCE), now(self._clock))
        (answer,) = await self._database.write([claimed])
        if isinstance(answer, Conflict):
            return []
        if isinstance(answer, Refusal):
            raise answer
        claimed["_rev"] = answer.rev
        ran: list[Document] = []
        held: Document | None = claimed
        while held is not None and held["status"] == Status.SCHEDULED:
            held = await self._run(held)
            ran += [] if held is None else [held]
        return ran

    async def _run(self, task: Document) -> Document | None:
        instant = now(self._clock)
        found = runnable(task, instant, self._jobs)
        if isinstance(found, Failed):
            return await self._record(task, Ended(INSTANCE, found))
        job, call = found
        context = await self._context(task, job)
        started, began = Started(INSTANCE, instant, float(instant - due(task))), self._clock.monotonic()
        running = asyncio.create_task(run(job, call, context, seconds_of(job, task), self._clock.limit))
        try:
            await self._wait(running, task, context)
        finally:  # also where the test is stopped: the task is not left in the hands of nobody
            outcome = await _end(running, context)
            duration = round((self._clock.monotonic() - began) * 1000, 3)
            # A repeating task is kept for the next of its occurrences that have passed already.
            keep = now(self._clock) if repeats(task) and not task.get("key") else None
            ended = Ended(INSTANCE, outcome, started, duration, job.retry, keep=keep)
            stored = await self._record(task, ended, context)
        return stored

    async def _context(self, task: Document, job: Job) -> TaskContext:
        results: dict[str, object] = {}
        if job.wants_task and task.get("after"):
            waited_for = await self._database.get_many(task["after"])
            results = {identity: one.get("result") for identity, one in waited_for.items()}
        return TaskContext(task, (task.get("attempt") or 0) + 1, self._clock, _nothing, results)

    async def _wait(self, running: asyncio.Task[Outcome], task: Document, context: TaskContext) -> None:
        """Wait until a job has ended, and tell it to where a client wants that."""
        ended, _ = await asyncio.wait({running}, timeout=UNHEARD_SECONDS)
        if ended:
            return
        listening = asyncio.create_task(self._listen(running, task, context))
        try:
            await asyncio.wait({running})
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, running: asyncio.Task[Outcome], task: Document, context: TaskContext) -> None:
        since = (await self._database.info())["update_seq"]
        newest = await self._newest(task)
        if not _is_wanted(task, newest):
            _stop(running, context)
        async for changes in self._database.changes(since=since, selector={"_id": task["_id"]}):
            if not all(_is_wanted(task, None if change.deleted else change.doc) for change in changes):
                _stop(running, context)

    async def _record(
        self, task: Document, event: Ended | Released | Finished, context: TaskContext | None = None
    ) -> Document | None:
        """Write what has become of a task; give it as it is stored then, None where it is there no more."""
        refused = False
        while True:
            told = apply(task, event, now(self._clock))
            if context is not None:
                told |= context.said()
            answer = await self._write(told)
            if not isinstance(answer, Refusal):
                return answer
            if isinstance(answer, Conflict):
                newer = await self._newest(task)
                if newer is None or holder_of(newer) != INSTANCE or newer["status"] in ENDED:
                    return newer
                task = newer
            elif refused:
                raise answer
            else:
                refused, context = True, None
                outcome = failed("Refused", f"the outcome could not be written: {answer.reason}", final=True)
                event = Ended(INSTANCE, outcome, getattr(event, "started", None), getattr(event, "duration", 0.0))

    async def _write(self, task: Document) -> Document | Refusal:
        """Write a task, and the archive that takes over the oldest of a long history; give it as it is stored then."""
        archive = history.archive(task)
        answer, *archived = await self._database.write([task] if archive is None else [task, archive])
        if isinstance(answer, Refusal):
            return answer
        task["_rev"] = answer.rev
        if archive is None:
            return task
        await settle(self._database, [(Held(task), archive)], archived)
        return await self._newest(task) or task

    async def _newest(self, task: Document) -> Document | None:
        return (await self._database.get_many([task["_id"]])).get(task["_id"])


def _is_wanted(task: Document, newest: Document | None) -> bool:
    """Tell whether the run of a task is still what its document asks for."""
    if newest is None:
        return False
    if generation(newest) <= generation(task):
        return True
    return holder_of(newest) == INSTANCE and (newest.get("status") or Status.WAITING) in HELD


def _stop(running: asyncio.Task[Outcome], context: TaskContext) -> None:
    if not context.canceled:
        context.cancel()
        running.cancel()


async def _end(running: asyncio.Task[Outcome], context: TaskContext) -> Outcome:
    """Give how a run has ended; one that still goes on is told to end first."""
    if not running.done():
        _stop(running, context)
        await asyncio.wait({running})
    return outcome_of(running)


def _nothing() -> None:
    """Hear that a job says something of itself: it is written when the run has ended."""
