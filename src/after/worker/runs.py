"""Running the jobs of tasks that are due: in order, and no more at once than was asked for."""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import cached_property, partial
from typing import Any

from after.clock import Clock, now
from after.dates import parse_elapsed
from after.events import Ended, Started
from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.jobs.run import run
from after.outcome import Failed, Outcome, Stopped, of_exception
from after.repeating import repeats
from after.retry import policy_of
from after.task import Document
from after.worker.finder import HORIZON
from after.worker.held import Held
from after.worker.plan import runnable

logger = logging.getLogger(__name__)


class Runs:
    """The places of a worker, and the due tasks that wait for one.

    `started`, `ended` and `said` hear of each task whose job begins, ends (with the instant), or says something of
    itself; `results(ids)` gives what the tasks returned that one had to wait for. While `fenced()` nothing begins: the
    others may take this process for lost, and run its tasks themselves.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        clock: Clock,
        instance: str,
        concurrency: int,
        *,
        fenced: Callable[[], bool],
        started: Callable[[Held], None],
        ended: Callable[[Held, int], None],
        said: Callable[[Held], None],
        results: Callable[[list[str]], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._instance = instance
        self.concurrency = concurrency
        self._fenced = fenced
        self._on_start, self._on_end, self._on_word, self._results = started, ended, said, results
        self._due: list[tuple[int, int, str, Held]] = []
        self._running: set[Held] = set()
        self.ended = 0

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Asked for once: each time it is a call of the system, and each run needs it twice.
        return asyncio.get_running_loop()

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    @property
    def due(self) -> int:
        """How many tasks wait for a place."""
        return len(self._due)

    def add(self, held: Held) -> None:
        """Take in a task that is due."""
        heapq.heappush(self._due, (*held.order, held))
        self.fill()

    def fill(self) -> None:
        """Start what there is a place for."""
        while self._due and len(self._running) < self.concurrency and not self._fenced():
            held = heapq.heappop(self._due)[-1]
            if not held.dropped and held.answer is None:
                self._start(held)

    def give_up(self) -> list[Held]:
        """Give the due tasks that have not begun, and keep none."""
        left, self._due = [held for *_, held in self._due], []
        return [held for held in left if not held.dropped and held.answer is None]

    async def wait(self) -> None:
        """Wait until nothing runs any more."""
        while runs := [held.run for held in self._running if held.run is not None]:
            await asyncio.wait(runs)

    def cancel(self, *, again: bool = False) -> None:
        """Tell what runs to end; `again` waits for it no longer."""
        for held in self._running:
            held.stop(again=again)

    def _start(self, held: Held) -> None:
        instant, task = self._clock.time() * 1000, held.current
        found = runnable(task, int(instant), self._jobs)
        if isinstance(found, Failed):
            held.answer = Ended(self._instance, found)
            self._on_end(held, int(instant))
            return
        job, wanted = found
        held.started = Started(self._instance, int(instant), round(instant - held.order[0], 3))
        told = partial(self._loop.call_soon_threadsafe, self._on_word, held)  # called from any thread
        held.context = TaskContext(task, (task.get("attempt") or 0) + 1, self._clock, told)
        self._running.add(held)
        work = run(job, wanted, held.context, seconds_of(job, task))
        if job.wants_task and task.get("after"):
            work = self._with_results(held.context, task["after"], work)
        held.run = self._loop.create_task(work)
        held.run.add_done_callback(partial(self._done, held, job, self._clock.monotonic()))
        self._on_start(held)

    async def _with_results(
        self, context: TaskContext, after: list[str], work: Coroutine[Any, Any, Outcome]
    ) -> Outcome:
        """Run a job when it is known what the tasks returned that it had to wait for."""
        try:
            context.hear_results(await self._results(after))
        except BaseException:
            work.close()
            raise
        return await work

    def _done(self, held: Held, job: Job, began: float, run: asyncio.Task[Outcome]) -> None:
        """A run is over: also one that was cancelled before its first step, or failed by a defect of ours."""
        assert held.started is not None
        instant, duration = now(self._clock), round((self._clock.monotonic() - began) * 1000, 3)
        keep = instant + HORIZON if _may_be_kept(held.current, job) else None
        held.answer = Ended(
            self._instance, outcome_of(run), held.started, duration, job.retry, random.random(), keep  # noqa: S311
        )  # fmt: skip
        self._running.discard(held)
        self.ended += 1
        if not held.dropped:
            self._on_end(held, instant)
        self.fill()


def _may_be_kept(task: Document, job: Job) -> bool:
    """Tell whether the next run of a task may begin before this one is written.

    Not where it could run twice by that, if the process died, and must not; nor where others of its key have to know.
    """
    if not repeats(task) or task.get("key"):
        return False
    policy = policy_of(task, job.retry)
    return policy is None or policy.on_lost


def seconds_of(job: Job, task: Document) -> float | None:
    """Give how long a run of a task may take, None where nothing says so."""
    timeout = task.get("timeout")
    milliseconds = job.timeout if timeout is None else parse_elapsed(timeout)
    return None if milliseconds is None else milliseconds / 1000


def outcome_of(run: asyncio.Task[Outcome]) -> Outcome:
    """Give how a run that is over has ended, also where it failed by a defect of ours."""
    if run.cancelled():
        return Stopped()
    error = run.exception()
    if error is None:
        return run.result()
    logger.error("a run failed by a defect of After", exc_info=error)
    return of_exception(error)
